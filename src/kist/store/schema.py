"""The tables of ``kist.db``. Each entry brings the database from ``user_version`` = its index to the next.

An entry is never changed once released; a new one is added.
"""

MIGRATIONS = (
    """
    CREATE TABLE images (
        id TEXT PRIMARY KEY,             -- the config's digest
        manifest TEXT NOT NULL,          -- the manifest's digest
        created_at INTEGER NOT NULL,     -- nanoseconds since the epoch
        size INTEGER NOT NULL,           -- bytes of all unpacked layers
        config BLOB NOT NULL             -- the config's JSON, so that a list needs no other file
    ) WITHOUT ROWID;
    CREATE TABLE names (
        name TEXT PRIMARY KEY,           -- a full reference
        image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE
    ) WITHOUT ROWID;
    CREATE INDEX names_of_image ON names (image);
    CREATE TABLE containers (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        image TEXT NOT NULL,             -- stays when the image goes
        created_at INTEGER NOT NULL,
        value BLOB NOT NULL              -- the container's JSON, without its state
    ) WITHOUT ROWID;
    CREATE INDEX containers_of_image ON containers (image);
    CREATE TABLE addresses (
        network TEXT NOT NULL,
        address TEXT NOT NULL,
        container TEXT NOT NULL,
        PRIMARY KEY (network, address)
    ) WITHOUT ROWID;
    CREATE INDEX addresses_of_container ON addresses (container);
    CREATE TABLE cache (
        key TEXT PRIMARY KEY,
        value BLOB NOT NULL,
        used_at INTEGER NOT NULL         -- seconds since the epoch
    );
    CREATE TABLE snapshots (
        id INTEGER PRIMARY KEY AUTOINCREMENT,   -- names the directory, so never used twice
        key TEXT NOT NULL UNIQUE,
        parent INTEGER REFERENCES snapshots (id),
        committed INTEGER NOT NULL DEFAULT 0,
        size INTEGER NOT NULL DEFAULT 0,        -- bytes of a committed one
        boot TEXT NOT NULL DEFAULT ''           -- the boot that it was committed in, until its files are synced
    );
    CREATE INDEX snapshots_of_parent ON snapshots (parent);
    CREATE TABLE leases (
        digest TEXT PRIMARY KEY,         -- keeps a blob or snapshot that no record refers to yet
        expires_at INTEGER NOT NULL      -- seconds since the epoch
    ) WITHOUT ROWID;
    """,
    # Snapshots moved from snapshots/NUMBER/fs to snapshots/NUMBER; layers are unpacked again from their blobs.
    "DELETE FROM snapshots;",
    # When a container was started last, in nanoseconds since the epoch: a start that died with its engine is told so.
    "ALTER TABLE containers ADD COLUMN started_at INTEGER NOT NULL DEFAULT 0;",
    """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY AUTOINCREMENT,   -- in the order of writing, never used twice
        time INTEGER NOT NULL,                  -- when it happened, nanoseconds since the epoch
        kind TEXT NOT NULL,
        action TEXT NOT NULL,
        actor TEXT NOT NULL,
        attributes BLOB NOT NULL                -- JSON
    );
    CREATE INDEX events_of_actor ON events (actor, time);
    -- Which end of the container the event log has: its time, or the start's, negated, where nobody saw the end.
    ALTER TABLE containers ADD COLUMN told_end INTEGER NOT NULL DEFAULT 0;
    """,
    """
    CREATE TABLE volumes (
        name TEXT PRIMARY KEY,
        value BLOB NOT NULL              -- the volume's JSON
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE id_ranges (
        container TEXT PRIMARY KEY,
        start INTEGER NOT NULL,          -- the first id of the host
        size INTEGER NOT NULL
    ) WITHOUT ROWID;
    """,
    # Who made an image, and who gave it a name: a user of the host, 0 for the engine's own.
    """
    ALTER TABLE images ADD COLUMN owner INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE names ADD COLUMN owner INTEGER NOT NULL DEFAULT 0;
    """,
    # Whether a snapshot is a whole tree of its own (the storage "copy"), or a layer on those below.
    # And the bytes of what is below that such a tree takes once more.
    """
    ALTER TABLE snapshots ADD COLUMN copied INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE snapshots ADD COLUMN again INTEGER NOT NULL DEFAULT 0;
    """,
    # What containers have on networks is told for each network; so far each was on the default one or on none.
    """
    CREATE TABLE networks (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        value BLOB NOT NULL              -- the network's JSON
    ) WITHOUT ROWID;
    UPDATE containers SET value = CAST(json_set(
        CAST(value AS TEXT),
        '$.options.networking',
        json_patch(
            COALESCE(json_extract(CAST(value AS TEXT), '$.options.networking'), '{}'),
            json_object('ip', NULL, 'mac', NULL, 'endpoints', json_array(json_patch(
                '{"network": "bridge"}',
                json_object(
                    'ip', json_extract(CAST(value AS TEXT), '$.options.networking.ip'),
                    'mac', json_extract(CAST(value AS TEXT), '$.options.networking.mac')
                )
            )))
        )
    ) AS BLOB) WHERE COALESCE(json_extract(CAST(value AS TEXT), '$.options.network'), 'bridge') = 'bridge';
    """,
    # Bytes of the blocks of a committed snapshot, once they were counted.
    "ALTER TABLE snapshots ADD COLUMN disk INTEGER;",
    # Of which storage a snapshot is, by the number that it has there; and which one the data root was told to have.
    """
    ALTER TABLE snapshots RENAME COLUMN copied TO storage;
    CREATE TABLE storage (driver TEXT NOT NULL);
    """,
    # Images that can be had again, by which command, and the names that came with that; and when images were used.
    """
    ALTER TABLE images ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;   -- seconds since the epoch
    CREATE TABLE origins (
        image TEXT PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE,
        again TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE given_names (
        name TEXT PRIMARY KEY REFERENCES names (name) ON DELETE CASCADE
    ) WITHOUT ROWID;
    """,
    # Volumes that nobody named whose container is gone, until they have gone with it.
    """
    CREATE TABLE leaving (
        volume TEXT PRIMARY KEY REFERENCES volumes (name) ON DELETE CASCADE
    ) WITHOUT ROWID;
    """,
    # Whose the object of an event was, and the labels that it was made with: JSON, or nothing.
    "ALTER TABLE events ADD COLUMN mark BLOB;",
    # What was found in layers, by diff id; what is attached to images; and which line of a Dockerfile a layer is of.
    """
    CREATE TABLE inventories (
        diff_id TEXT PRIMARY KEY,
        form INTEGER NOT NULL,           -- of the two values
        packages BLOB NOT NULL,
        files BLOB NOT NULL
    );
    CREATE TABLE referrers (
        image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        manifest TEXT NOT NULL,          -- of the referrer
        subject TEXT NOT NULL,           -- the image's manifest, which it names
        value BLOB NOT NULL,             -- the referrer's JSON
        PRIMARY KEY (image, manifest)
    ) WITHOUT ROWID;
    CREATE TABLE places (
        image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        layer INTEGER NOT NULL,          -- from 1 for the lowest
        place TEXT NOT NULL,             -- Dockerfile:3
        PRIMARY KEY (image, layer)
    ) WITHOUT ROWID;
    """,
    # Images that are mounted in containers, and the snapshots that show them, which stay as long as the containers.
    """
    CREATE TABLE mounted_images (
        container TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
        image TEXT NOT NULL,             -- stays when the image goes
        snapshot TEXT NOT NULL,          -- empty for an image without layers
        PRIMARY KEY (container, image)
    ) WITHOUT ROWID;
    CREATE INDEX mounted_images_of_image ON mounted_images (image);
    """,
    # Which images a name has for other platforms than that of the image that it names.
    """
    CREATE TABLE platform_names (
        name TEXT NOT NULL REFERENCES names (name) ON DELETE CASCADE,
        platform TEXT NOT NULL,          -- linux/arm/v7
        image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        PRIMARY KEY (name, platform)
    ) WITHOUT ROWID;
    CREATE INDEX platform_names_of_image ON platform_names (image);
    """,
)
