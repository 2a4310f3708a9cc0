"""Conveyor."""

from .context import *
from .decorators import batch_task, single_task
from .error_handling import *
from .pipeline import Pipeline
from .stream import AsyncStream
from .tasks import BaseTask, BatchTask, SingleTask
