"""Roles as the whole organization and each site have them; sites get a name for addresses."""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

ORGANIZATION = [("full", "Organization: full"), ("read-only", "Organization: read-only"), ("none", "Only the sites below")]
SITE = [("full", "Site: full"), ("read-only", "Site: read-only"), ("monitor-only", "Site: monitor-only")]


def fill(apps, schema_editor):
    apps.get_model("fleet", "Membership").objects.filter(role="admin").update(role="full")
    for site in apps.get_model("fleet", "Site").objects.all():
        site.uuid = uuid.uuid4()
        site.save(update_fields=["uuid"])


class Migration(migrations.Migration):
    # PostgreSQL alters no table that has changed rows in the same transaction.
    atomic = False

    dependencies = [("fleet", "0002_membership_role")]

    operations = [
        migrations.AddField("site", "uuid", models.UUIDField(null=True, editable=False)),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AlterField("site", "uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
        migrations.AlterField(
            "membership", "role", models.CharField(choices=ORGANIZATION, default="full", max_length=10)
        ),
        migrations.AlterField(
            "membership",
            "organization",
            models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="memberships", to="fleet.organization"
            ),
        ),
        migrations.AlterField(
            "membership",
            "user",
            models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="memberships", to="accounts.user"
            ),
        ),
        migrations.AddField(
            "membership",
            "created",
            models.DateTimeField(auto_now_add=True, default=django.utils.timezone.now),
            preserve_default=False,
        ),
        migrations.CreateModel(
            name="SiteAccess",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("role", models.CharField(choices=SITE, max_length=12)),
                (
                    "membership",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="site_access", to="fleet.membership"
                    ),
                ),
                (
                    "site",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="access", to="fleet.site"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=["membership", "site"], name="one_site_access")]
            },
        ),
    ]
