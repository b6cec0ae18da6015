"""Documents and rows of revisions are kept compressed."""

import dashboard.publish.packed
from django.db import migrations, models

COLUMNS = (("document", "packed_document"), ("rows", "packed_rows"))


def copy(pairs):
    """One revision at a time: each may be large."""

    def run(apps, schema_editor):
        revision = apps.get_model("publish", "Revision")
        for pk in list(revision.objects.order_by("pk").values_list("pk", flat=True)):
            values = revision.objects.values(*(old for old, _new in pairs)).get(pk=pk)
            revision.objects.filter(pk=pk).update(**{new: values[old] for old, new in pairs})

    return run


class Migration(migrations.Migration):
    dependencies = [("publish", "0002_revision_history")]

    operations = [
        # So that the way back can make the column before it is filled.
        migrations.AlterField("revision", "document", models.JSONField(null=True)),
        migrations.AddField("revision", "packed_document", dashboard.publish.packed.PackedJSONField(null=True)),
        migrations.AddField("revision", "packed_rows", dashboard.publish.packed.PackedJSONField(null=True)),
        migrations.RunPython(copy(COLUMNS), copy([(new, old) for old, new in COLUMNS])),
        migrations.RemoveField("revision", "document"),
        migrations.RemoveField("revision", "rows"),
        migrations.RenameField("revision", "packed_document", "document"),
        migrations.RenameField("revision", "packed_rows", "rows"),
        migrations.AlterField("revision", "document", dashboard.publish.packed.PackedJSONField()),
    ]
