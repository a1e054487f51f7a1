"""The one table of everything that is fuzzed, by name."""

from tests.fuzz import files, network, programs
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target for module in (network, programs, files) for target in module.TARGETS
}
