"""python -m docker_registry_index is the command docker-registry-index."""
from .cli.commands import main

main(prog_name=str('docker-registry-index'))
