"""Everything we raise: one tree, each leaf with a code, what happened, and the cure.

    AglError
    ├── LogError        VersionConflict KeyReused LogCorrupt LogTooNew LogReadOnly LogNotFound LogUnsupported
    │                   LogBusy LogExists LogGone LogFull DiskFailed ContentErased BadQuery QueryCut
    ├── CodecError      UpcastGap BadPayload
    ├── StoreError      UnknownId BadValue LeaseLost RunHeld OutsideAttempt AlreadySettled NothingPromoted
    │                   FilesNotKept
    ├── PluginError     MissingExtra PluginBroken TracerFailed UnknownName
    ├── RunError        ReplayDiverged AmbiguousLabel RunNotImportable RunNotResumable NoTrainingData NotFast
    │                   NotImportable NoRunnersLeft RewardMissing CaptureNone SelectsNothing StepFailed
    │                   RolloutFailed TooFewScored NoUsableRows TooManyFailed RunIsOver
    │                   BudgetSpent BudgetTooSmall PriceUnknown NotOffline RolloutsForbidden
    ├── ReplayError     ReplayUnmatched ReplayDiffers ReplayAmbiguous ReplayStopped NotReplayable
    │                   NetworkDenied
    ├── PreflightError  AgentFailed AgentHangs CallsFailed GroupTooSmall NoExploration PlaceholderMissing
    │                   RewardConstant SplitsOverlap UnattributedCall
    ├── JudgeError      ExpectedMissing JudgeFailed JudgeMalformed JudgeUnanswered NothingToJudge
    ├── ExportError     ExportEmpty ExportExists ExportFailed ExportRefused
    ├── ImportingError  ImportChanged ImportLineBad ImportRefused ImportStillOpen ImportWrongFormat
    └── EngineError     ModelNotFound PromptTooLong PolicyNotLoaded PortBusy EngineFailed TokenIdsMissing
    │                   ModelUnanswered DrainTimedOut CheckpointForeign CheckpointUnwritten NotTunable

A bug raises a plain `AssertionError` or `TypeError`; those are not ours to catch.
"""

from __future__ import annotations

from agl_core.errors._base import AglError
from agl_core.errors._codec import BadPayload, CodecError, UpcastGap
from agl_core.errors._engine import (
    DrainTimedOut,
    EngineError,
    EngineFailed,
    ModelNotFound,
    ModelUnanswered,
    PolicyNotLoaded,
    PortBusy,
    PromptTooLong,
    TokenIdsMissing,
)
from agl_core.errors._export import ExportEmpty, ExportError, ExportExists, ExportFailed, ExportRefused
from agl_core.errors._importing import (
    ImportChanged,
    ImportingError,
    ImportLineBad,
    ImportRefused,
    ImportStillOpen,
    ImportWrongFormat,
)
from agl_core.errors._judge import (
    ExpectedMissing,
    JudgeError,
    JudgeFailed,
    JudgeMalformed,
    JudgeUnanswered,
    NothingToJudge,
)
from agl_core.errors._learning import NotOffline, NoUsableRows, RolloutsForbidden
from agl_core.errors._log import (
    BadQuery,
    ContentErased,
    DiskFailed,
    KeyReused,
    LogBusy,
    LogCorrupt,
    LogError,
    LogExists,
    LogFull,
    LogGone,
    LogNotFound,
    LogReadOnly,
    LogTooNew,
    LogUnsupported,
    QueryCut,
    VersionConflict,
)
from agl_core.errors._plugin import MissingExtra, PluginBroken, PluginError, TracerFailed, UnknownName
from agl_core.errors._preflight import (
    AgentFailed,
    AgentHangs,
    CallsFailed,
    GroupTooSmall,
    NoExploration,
    PlaceholderMissing,
    PreflightError,
    RewardConstant,
    SplitsOverlap,
    UnattributedCall,
)
from agl_core.errors._replay import (
    NetworkDenied,
    NotReplayable,
    ReplayAmbiguous,
    ReplayDiffers,
    ReplayError,
    ReplayStopped,
    ReplayUnmatched,
)
from agl_core.errors._resources import FilesNotKept, NothingPromoted, RunIsOver
from agl_core.errors._run import (
    AmbiguousLabel,
    BudgetSpent,
    BudgetTooSmall,
    CaptureNone,
    NoRunnersLeft,
    NotFast,
    NotImportable,
    NoTrainingData,
    PriceUnknown,
    ReplayDiverged,
    RewardMissing,
    RolloutFailed,
    RunError,
    RunNotImportable,
    RunNotResumable,
    SelectsNothing,
    StepFailed,
    TooFewScored,
    TooManyFailed,
)
from agl_core.errors._store import AlreadySettled, BadValue, LeaseLost, OutsideAttempt, RunHeld, StoreError, UnknownId
from agl_core.errors._weights import CheckpointForeign, CheckpointUnwritten, NotTunable

__all__ = [
    "AgentFailed",
    "AgentHangs",
    "AglError",
    "AlreadySettled",
    "AmbiguousLabel",
    "BadPayload",
    "BadQuery",
    "BadValue",
    "BudgetSpent",
    "BudgetTooSmall",
    "CallsFailed",
    "CaptureNone",
    "CheckpointForeign",
    "CheckpointUnwritten",
    "CodecError",
    "ContentErased",
    "DiskFailed",
    "DrainTimedOut",
    "EngineError",
    "EngineFailed",
    "ExpectedMissing",
    "ExportEmpty",
    "ExportError",
    "ExportExists",
    "ExportFailed",
    "ExportRefused",
    "FilesNotKept",
    "GroupTooSmall",
    "ImportChanged",
    "ImportLineBad",
    "ImportRefused",
    "ImportStillOpen",
    "ImportWrongFormat",
    "ImportingError",
    "JudgeError",
    "JudgeFailed",
    "JudgeMalformed",
    "JudgeUnanswered",
    "KeyReused",
    "LeaseLost",
    "LogBusy",
    "LogCorrupt",
    "LogError",
    "LogExists",
    "LogFull",
    "LogGone",
    "LogNotFound",
    "LogReadOnly",
    "LogTooNew",
    "LogUnsupported",
    "MissingExtra",
    "ModelNotFound",
    "ModelUnanswered",
    "NetworkDenied",
    "NoExploration",
    "NoRunnersLeft",
    "NoTrainingData",
    "NoUsableRows",
    "NotFast",
    "NotImportable",
    "NotOffline",
    "NotReplayable",
    "NotTunable",
    "NothingPromoted",
    "NothingToJudge",
    "OutsideAttempt",
    "PlaceholderMissing",
    "PluginBroken",
    "PluginError",
    "PolicyNotLoaded",
    "PortBusy",
    "PreflightError",
    "PriceUnknown",
    "PromptTooLong",
    "QueryCut",
    "ReplayAmbiguous",
    "ReplayDiffers",
    "ReplayDiverged",
    "ReplayError",
    "ReplayStopped",
    "ReplayUnmatched",
    "RewardConstant",
    "RewardMissing",
    "RolloutFailed",
    "RolloutsForbidden",
    "RunError",
    "RunHeld",
    "RunIsOver",
    "RunNotImportable",
    "RunNotResumable",
    "SelectsNothing",
    "SplitsOverlap",
    "StepFailed",
    "StoreError",
    "TokenIdsMissing",
    "TooFewScored",
    "TooManyFailed",
    "TracerFailed",
    "UnattributedCall",
    "UnknownId",
    "UnknownName",
    "UpcastGap",
    "VersionConflict",
]
