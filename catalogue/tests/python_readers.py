"""Reads a table with deltalake and with DuckDB and compares it with what
Trawler says of it. Called by python_readers.rs with the path of a JSON file.
"""

import json
import pathlib
import sys

import duckdb
import duckdb_extension_delta
from deltalake import DeltaTable, QueryBuilder

expected = json.loads(pathlib.Path(sys.argv[1]).read_text())
path = expected["table"]

extension = next(
    pathlib.Path(duckdb_extension_delta.__file__).parent.rglob("delta.duckdb_extension")
)
duck = duckdb.connect(
    config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
)
duck.execute(f"LOAD '{extension}'")
duck.execute("SET TimeZone = 'UTC'")


def check(what, found, wanted):
    if found != wanted:
        pairs = zip(found, wanted) if isinstance(found, list) else [(found, wanted)]
        first = next((pair for pair in pairs if pair[0] != pair[1]), "lengths")
        sys.exit(f"{what} differs: first difference {first}")


# One row as text, the same from either reader and from the JSON.
FIELDS = ["pipe", "id", "title", "price_minor", "image_link", "image_status", "image_width", "run"]
SQL = f"""
    SELECT {", ".join(FIELDS)},
           epoch_us(first_seen), epoch_us(updated), lower(hex(row_hash)),
           extra['색'], image_variants[1].key, len(image_variants)
    FROM {{source}}
"""


def micros(text):
    import datetime

    return int(datetime.datetime.fromisoformat(text).timestamp()) * 1_000_000


def as_tuple(row):
    variants = row.get("image_variants")
    return tuple(row.get(name) for name in FIELDS) + (
        micros(row["first_seen"]),
        micros(row["updated"]),
        row["row_hash"],
        row.get("extra", {}).get("색"),
        variants[0]["key"] if variants else None,
        len(variants) if variants is not None else None,
    )


def order(rows):
    return sorted(rows, key=repr)


wanted = order(as_tuple(row) for row in expected["rows"])

# DuckDB's own reader.
source = f"delta_scan('{path}')"
check("rows in DuckDB", order(duck.execute(SQL.format(source=source)).fetchall()), wanted)
shop = f"SELECT count(*) FROM {source} WHERE pipe = 'shop-a' AND id BETWEEN '0010' AND '0019'"
check("a filtered count in DuckDB", duck.execute(shop).fetchone()[0], 10)

# deltalake, the newest version and all older ones.
table = DeltaTable(path)
check("version", table.version(), expected["version"])
counts = [DeltaTable(path, version=version).count() for version in range(table.version() + 1)]
check("counts of all versions", counts, expected["counts"])
newest = QueryBuilder().register("products", table).execute("SELECT * FROM products").read_all()
found = duck.execute(SQL.format(source="newest")).fetchall()
check("rows in deltalake", order(found), wanted)

# The change feed.
feed = table.load_cdf(starting_version=0).read_all()
fields = "pipe, id, title, price_minor, image_status, _change_type, _commit_version"
found = duck.execute(f"SELECT {fields}, epoch_ms(_commit_timestamp) FROM feed").fetchall()
names = fields.split(", ")
wanted = [
    tuple(change.get(name) for name in names) + (micros(change["_commit_timestamp"]) // 1000,)
    for change in expected["changes"]
]
check("the change feed", order(found), order(wanted))
kinds = {row[5] for row in found}
check("kinds of change", kinds, {"insert", "delete", "update_preimage", "update_postimage"})

# The feed from the middle on.
half = expected["version"] // 2
feed = table.load_cdf(starting_version=half).read_all()
found = duck.execute("SELECT count(*) FROM feed").fetchone()[0]
check("the later feed", found, sum(row["_commit_version"] >= half for row in expected["changes"]))
transaction = table.transaction_version("shop-a")
check("the transaction of a pipe", transaction is not None, True)
print("all the same")
