"""What a load sees of a source."""
from docker_registry_index.engine.sync.listing import Listing


def listed(source):
    """Return the names in a source in order, and the namespaces that cannot be read."""
    listing = Listing(source)
    names = sorted(name for batch in listing.batches(lambda: None) for name, _ in batch)
    return names, sorted(listing.unreadable)
