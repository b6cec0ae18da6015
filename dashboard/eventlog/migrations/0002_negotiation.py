from django.db import migrations, models
from django.db.models import Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce


def fill(apps, schema_editor):
    """Rows that are there have it in their body."""
    rows = apps.get_model("eventlog", "EventRow").objects.using(schema_editor.connection.alias)
    rows.update(negotiation=Coalesce(KeyTextTransform("negotiation", "body"), Value("")))
    rows.filter(negotiation="null").update(negotiation="")  # SQLite's text for a JSON null


class Migration(migrations.Migration):

    # Neither database builds an index on a table that it has just updated in the same transaction.
    atomic = False

    dependencies = [
        ("eventlog", "0001_initial"),
        ("fleet", "0002_membership_role"),
    ]

    operations = [
        migrations.AddField(
            model_name="eventrow",
            name="negotiation",
            field=models.CharField(blank=True, default="", max_length=32),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="eventrow",
            index=models.Index(fields=["organization", "negotiation", "seq"], name="event_negotiation"),
        ),
    ]
