"""Workers know every task that somebody asks for."""

from __future__ import annotations

from django.conf import settings

from appliance.celery import app
from appliance.paths import ROOT


def test_every_scheduled_task_is_known() -> None:
    app.loader.import_default_modules()
    wanted = {row["task"] for row in settings.CELERY_BEAT_SCHEDULE.values()}
    assert wanted and wanted <= set(app.tasks)


def test_the_tasks_of_every_app_are_known() -> None:
    app.loader.import_default_modules()
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.glob("dashboard/*/tasks.py")}
    known = {task.__module__ for task in app.tasks.values()}
    assert modules and modules <= known
