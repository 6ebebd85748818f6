"""Everything under the data root: blobs, snapshots, records, locks, garbage collection (ring 1)."""

from kist.store.blobs import Blobs, BlobWriter
from kist.store.collect import Without, digests_in, needed_by
from kist.store.records import Records
from kist.store.snapshots import Snapshots
from kist.store.store import Store

__all__ = ["BlobWriter", "Blobs", "Records", "Snapshots", "Store", "Without", "digests_in", "needed_by"]
