"""In: a batch. Out: plans."""

from dojo.model.config import PolicyConfig
from dojo.model.heads import PolicyOutput
from dojo.model.plans import plans
from dojo.model.policy import Policy

__all__ = ["Policy", "PolicyConfig", "PolicyOutput", "plans"]
