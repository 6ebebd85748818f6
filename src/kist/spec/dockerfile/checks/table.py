"""All rules, in BuildKit's order, and then those of our own (docs/reference/build-checks.md)."""

from kist.spec.dockerfile.checks import bases, casing, forms, keeping, variables
from kist.spec.dockerfile.checks.rule import Rule

RULES = (
    Rule("StageNameCasing", "Stage names should be lowercase", casing.stage_name, everywhere=True),
    Rule("FromAsCasing", "The 'as' keyword should match the case of the 'from' keyword", casing.from_as,
         everywhere=True),
    Rule("NoEmptyContinuation", "Empty continuation lines will become errors in a future release",
         casing.empty_continuation, everywhere=True),
    Rule("ConsistentInstructionCasing",
         "All commands within the Dockerfile should use the same casing (either upper or lower)",
         casing.instruction_casing, everywhere=True),
    Rule("DuplicateStageName", "Stage names should be unique", bases.duplicate_name, everywhere=True),
    Rule("ReservedStageName", "Reserved words should not be used as stage names", bases.reserved_name,
         everywhere=True),
    Rule("JSONArgsRecommended",
         "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
         forms.shell_form),
    Rule("MaintainerDeprecated",
         "The MAINTAINER instruction is deprecated, use a label instead to define an image author", forms.maintainer,
         everywhere=True),
    Rule("UndefinedArgInFrom", "FROM command must use declared ARGs", bases.undefined_argument, everywhere=True),
    Rule("WorkdirRelativePath",
         "Relative workdir without an absolute workdir declared within the build can have unexpected results if the "
         "base image changes", forms.relative_workdir),
    Rule("UndefinedVar", "Variables should be defined before their use", variables.undefined),
    Rule("MultipleInstructionsDisallowed",
         "Multiple instructions of the same type should not be used in the same stage", forms.only_last_counts),
    Rule("LegacyKeyValueFormat", "Legacy key/value format with whitespace separator should not be used",
         forms.legacy_pair),
    Rule("InvalidBaseImagePlatform", "Base image platform does not match expected target platform",
         bases.other_platform),
    Rule("RedundantTargetPlatform",
         "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
         bases.redundant_platform, everywhere=True),
    Rule("SecretsUsedInArgOrEnv", "Sensitive data should not be used in the ARG or ENV commands", forms.secret),
    Rule("InvalidDefaultArgInFrom", "Default value for global ARG results in an empty or invalid base image name",
         bases.invalid_default, everywhere=True),
    Rule("FromPlatformFlagConstDisallowed", "FROM --platform flag should not use a constant value",
         bases.constant_platform, everywhere=True),
    Rule("CopyIgnoredFile", "Attempting to Copy file that is excluded by .dockerignore", forms.ignored_file),
    Rule("InvalidDefinitionDescription",
         "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is "
         "not intended to be a description comment, add an empty line or comment between the instruction and the "
         "comment.", casing.description, experimental=True, everywhere=True),
    Rule("ExposeProtoCasing", "Protocol in EXPOSE instruction should be lowercase", forms.protocol_casing),
    Rule("ExposeInvalidFormat",
         "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a "
         "future release", forms.published_port),
    Rule("UnpinnedBaseImage", "Base images should be pinned: by a digest, or by a kist.lock", keeping.unpinned_base,
         own=True),
    Rule("UnpinnedPackages", "On a pinned base image, packages should be installed in a version that is named",
         keeping.unpinned_packages, own=True),
    Rule("AptListsInLayer", "The lists that apt-get update fetches should not stay in a layer", keeping.apt_lists,
         own=True),
    Rule("RootAsLastUser", "The last USER of an image should not be root", keeping.root_user, own=True),
)  # fmt: skip
