"""All mutants, in the order of the table."""

from typing import Final

from .bounds import BOUNDS
from .commits import COMMITS
from .delivery import DELIVERY
from .mutant import Mutant
from .order import ORDER
from .outcomes import OUTCOMES
from .permissions import PERMISSIONS
from .readers import READERS

MUTANTS: Final[tuple[Mutant, ...]] = (*COMMITS, *OUTCOMES, *ORDER, *DELIVERY, *READERS, *BOUNDS, *PERMISSIONS)
