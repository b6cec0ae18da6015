"""The Culvert IKE/ESP engine: a library and a daemon that know no Django, Celery or Redis."""
