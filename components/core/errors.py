"""Every error that Finist raises on purpose, in one tree.

FinistError                 something a person can mend; exit code 2
├── BadInputError           a file, a row or an option is wrong
│   ├── CatalogueError      the bank's products, intents or phrasing
│   ├── RecipeError         a recipe has an unknown key or a bad value
│   ├── SchemaError         a row does not fit its schema
│   ├── LeakageError        training shows what the test asks
│   └── SplitError          too few dialogues for the split that was asked for
├── MissingModelError       a model is not where it was said to be
├── MissingSecretError      a credential is not in the environment or its file
├── PortInUseError          somebody else listens on the port
├── DiskFullError           no room to write
├── StorageError            the S3 server refuses or is away
│   ├── ConflictError       somebody else wrote the object in between
│   └── IntegrityError      bytes do not match their sha256
├── EndpointError           an LLM endpoint is away or answers wrongly
├── DeployError             a model server did not come up
├── TrainingError           training cannot start or go on
├── QuantizationError       a model cannot be quantized here or as asked
├── GateError               a candidate did not pass a gate
└── DoesNotFitError         a model does not fit the GPUs that were named

The message is one sentence: what is wrong, where, and how to mend it.
"""


class FinistError(Exception):
    """Base of the tree; a main prints its message and leaves with `exit_code`."""

    exit_code = 2


class BadInputError(FinistError):
    """A file, a row or an option that a person wrote is wrong."""


class CatalogueError(BadInputError):
    """The bank's catalogue, intents or phrasing cannot be used."""


class RecipeError(BadInputError):
    """A recipe names an unknown key or holds a value out of range."""


class SchemaError(BadInputError):
    """A row of a data file does not fit its schema."""


class LeakageError(BadInputError):
    """Test questions stand, nearly word for word, in the training data."""


class SplitError(BadInputError):
    """There are too few dialogues for the training and test rows that were asked for."""


class MissingModelError(FinistError):
    """A model or an adapter is not where it was said to be."""


class MissingSecretError(FinistError):
    """A credential is neither in the environment nor in its file."""


class PortInUseError(FinistError):
    """Another process listens on the port that was asked for."""


class DiskFullError(FinistError):
    """There is no room left to write."""


class StorageError(FinistError):
    """The S3 server refuses the request or cannot be reached."""


class ConflictError(StorageError):
    """Somebody else wrote the object since it was read, so nothing was written over it."""


class IntegrityError(StorageError):
    """The bytes that arrived do not match their sha256 in the manifest."""


class EndpointError(FinistError):
    """An LLM endpoint cannot be reached or does not speak the OpenAI API."""


class DeployError(FinistError):
    """A model server did not become ready."""


class TrainingError(FinistError):
    """Training cannot start with what it was given, or cannot go on."""


class QuantizationError(FinistError):
    """A model cannot be quantized: it, the calibration rows or the environment do not fit."""


class GateError(FinistError):
    """A candidate did not pass a gate, so nothing of it is published."""


class DoesNotFitError(FinistError):
    """A model, trained or served as asked, needs more memory than the GPUs have."""
