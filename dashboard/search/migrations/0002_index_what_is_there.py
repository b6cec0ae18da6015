# What was configured before there was a search is found too.

from django.db import migrations


def index(apps, schema_editor):
    Entry = apps.get_model("search", "Entry")
    rows = []
    for peer in apps.get_model("sitevpn", "Peer").objects.select_related("site").iterator(chunk_size=500):
        words = [("peer", peer.name), ("address", peer.remote), *(("subnet", subnet) for subnet in peer.remote_subnets)]
        rows += [_entry(Entry, peer.site, kind, key, peer.name, str(peer.uuid)) for kind, key in words]
    for subnet in apps.get_model("sitevpn", "LocalSubnet").objects.select_related("site"):
        rows.append(_entry(Entry, subnet.site, "local", subnet.subnet, subnet.name or subnet.subnet, ""))
    for user in apps.get_model("sitevpn", "VpnUser").objects.select_related("site"):
        rows.append(_entry(Entry, user.site, "user", user.name, user.name, str(user.uuid)))
    Entry.objects.bulk_create(rows, batch_size=500)


def _entry(Entry, site, kind, key, title, target):
    return Entry(organization_id=site.organization_id, site_id=site.pk, kind=kind, key=key.casefold()[:260], title=title[:200], target=target)


class Migration(migrations.Migration):

    dependencies = [
        ("search", "0001_initial"),
        ("sitevpn", "0004_authentication"),
    ]

    operations = [migrations.RunPython(index, migrations.RunPython.noop)]
