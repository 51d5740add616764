"""Makes a service many, in the database of a server that is not running: multiply.py DATABASE SERVICE COUNT

By requests it would take half an hour. The copies are rows as the server left the first one, shared out among the stacks.
"""

import sqlite3
import sys
import uuid

DATABASE, SERVICE, COUNT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

with sqlite3.connect(DATABASE) as database:
    names = [row[1] for row in database.execute("PRAGMA table_info(resource)") if row[1] != "id"]
    first = dict(zip(names, database.execute(f"SELECT {', '.join(names)} FROM resource WHERE id = ?", (SERVICE,)).fetchone()))
    stacks = [id for (id,) in database.execute("SELECT id FROM resource WHERE kind = 'stack' ORDER BY id")]
    insert = f"INSERT INTO resource ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    for number in range(COUNT):
        row = {**first, "uuid": str(uuid.uuid4()), "name": f"service-{number:05}", "parent_id": stacks[number % len(stacks)]}
        made = database.execute(insert, [row[name] for name in names]).lastrowid
        database.execute(
            "INSERT INTO resource_state SELECT ?, state, health, message, progress, version FROM resource_state WHERE resource_id = ?", (made, SERVICE))
        database.execute("INSERT INTO resource_ref SELECT ?, field, to_id FROM resource_ref WHERE from_id = ?", (made, SERVICE))
