"""The commands of ``./culvert``, one module each with ``HELP``, ``add_arguments`` and ``run``."""
