"""The id becomes organization and number in one; PostgreSQL gets a partition per day; texts can be searched."""

import django.db.models.deletion
from django.db import migrations, models

from dashboard.eventlog import schema


def upgrade(apps, schema_editor):
    schema.build(schema_editor.connection)
    schema.copy(schema_editor.connection)


class Migration(migrations.Migration):

    dependencies = [
        ("eventlog", "0002_negotiation"),
        ("fleet", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="EventType",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("code", models.CharField(max_length=60, unique=True)),
            ],
        ),
        migrations.CreateModel(
            name="EventSpan",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("hour", models.BigIntegerField()),
                ("first", models.PositiveBigIntegerField()),
                ("last", models.PositiveBigIntegerField()),
                ("organization", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="fleet.organization")),
            ],
            options={"indexes": [models.Index(fields=["organization", "hour"], name="event_span")]},
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(upgrade)],
            state_operations=[
                migrations.DeleteModel(name="EventRow"),
                migrations.CreateModel(
                    name="EventRow",
                    fields=[
                        ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                        ("seq", models.PositiveBigIntegerField()),
                        ("time", models.FloatField()),
                        ("code", models.CharField(max_length=60)),
                        ("severity", models.CharField(max_length=8)),
                        ("peer_id", models.CharField(blank=True, max_length=64)),
                        ("negotiation", models.CharField(blank=True, default="", max_length=32)),
                        ("search", models.TextField()),
                        ("body", models.JSONField()),
                        ("appliance", models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, to="fleet.appliance")),
                        ("organization", models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, to="fleet.organization")),
                    ],
                    options={
                        "indexes": [
                            models.Index(fields=["code", "id"], name="event_code"),
                            models.Index(fields=["severity", "id"], name="event_severity"),
                            models.Index(fields=["peer_id", "id"], name="event_peer"),
                            models.Index(fields=["appliance", "id"], name="event_appliance"),
                            models.Index(fields=["negotiation", "id"], name="event_negotiation"),
                        ],
                    },
                ),
            ],
        ),
    ]
