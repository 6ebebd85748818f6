"""What a build tells of the rules that its Dockerfile breaks (docs/reference/build-checks.md)."""

from functools import cached_property

from msgspec import structs

from kist.build.bases import Bases
from kist.build.plan import Plan
from kist.build.recent import Recent, key_of
from kist.errors import InvalidInput
from kist.spec.build import BuildOptions
from kist.spec.dockerfile import Dockerfile, Ignore
from kist.spec.dockerfile.checks.checking import look_at, settings_of
from kist.spec.dockerfile.checks.finding import CheckReport
from kist.spec.dockerfile.checks.subject import Facts
from kist.spec.interface import Progress
from kist.spec.platform import Platform
from kist.spec.progress import Warned

_MOST_TOLD = 100
_REPORTS = Recent[CheckReport]()


class Checking:
    """The rules on one build; they are looked at when that is asked for, at its end.

    Args:
        dockerfile: what is built.
        options: how.
        plan: says which stages are made.
        bases: know the environment of base images.
        ignore: what COPY does not find.
        host: this machine's platform.
        key: of the Dockerfile, the options and the platform.
    """

    def __init__(
        self,
        dockerfile: Dockerfile,
        options: BuildOptions,
        plan: Plan,
        bases: Bases,
        ignore: Ignore,
        host: Platform,
        key: bytes,
    ) -> None:
        self._key = key
        self._dockerfile = dockerfile
        self._bases = bases
        self._facts = Facts(
            platform=Platform.parse(options.platform) if options.platform else host,
            host=host,
            build_args=options.build_args,
            target=options.target,
            ignore=ignore,
            environment=self._environment,
            contexts=options.contexts,
            base_platform=bases.platform_of,
        )
        # "2.0" is a stage's step; an image or a context that only serves a COPY has a word before its name
        numbers = (step.id.partition(".")[0] for step in plan.steps)
        self._stages = {int(number) for number in numbers if number.isdecimal()}

    def forbid(self, progress: Progress) -> None:
        """End the build where findings are errors (``# check=error=true``), before any of its steps.

        Raises:
            ParseError: the directive cannot be read.
            InvalidInput: something is found.
        """
        if not settings_of(self._dockerfile, self._facts).is_error or not self._report.findings:
            return
        self.tell(progress)
        rules = ", ".join(sorted({finding.rule for finding in self._report.findings}))
        raise InvalidInput(
            f"lint violation found for rules: {rules}",
            hint="kist build --check shows the places; check=error=true in the Dockerfile has them end the build",
        )

    def tell(self, progress: Progress) -> None:
        """A line for each finding, of a great many for the first."""
        findings = self._report.findings
        for finding in findings[:_MOST_TOLD]:
            progress(Warned(finding.short, rule=finding.rule))
        if more := findings[_MOST_TOLD:]:
            progress(Warned(f"{len(more)} more: kist build --check shows them", rule=more[0].rule))

    @cached_property
    def _report(self) -> CheckReport:
        rules = self._facts.ignore.rules if self._facts.ignore else ()
        left_out = tuple((str(rule), rule.line) for rule in rules)
        key = key_of(self._key.hex(), left_out, sorted(self._stages))
        return _REPORTS.get(
            key,
            (self._environment, self._bases.platform_of),
            lambda environment, platform_of: look_at(
                self._dockerfile,
                structs.replace(self._facts, environment=environment, base_platform=platform_of),
                self._stages,
            ),
        )

    def _environment(self, name: str) -> tuple[str, ...] | None:
        image = next((image for known, image in self._bases.used if known == name), None)
        return None if image is None else image.config.config.env or ()
