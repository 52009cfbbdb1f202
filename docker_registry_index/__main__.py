"""python -m docker_registry_index is the command docker-registry-index."""
from .cli import main

main(prog_name=str('docker-registry-index'))
