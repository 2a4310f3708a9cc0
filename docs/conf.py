"""Settings of the documentation; ``nox -s docs`` builds it, without a network."""

import importlib.metadata

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

project = "Conveyor"
author = "The Conveyor developers"
copyright = f"2026, {author}"
version = release = importlib.metadata.version("conveyor-streaming")

extensions = ["sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_build"]
# What is not marked as code of some language is a figure or a program's output.
highlight_language = "text"
default_role = "code"

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_type_aliases = {
    "ErrorAction": "conveyor.ErrorAction",
    "ExecutionMode": "conveyor.ExecutionMode",
    "RunOutcome": "conveyor.RunOutcome",
}
python_use_unqualified_type_names = True
maximum_signature_line_length = 88

# Every reference must lead somewhere, but for these.
nitpick_ignore_regex = [
    # Out of this documentation: looking them up (intersphinx) would need a network at every build.
    (
        "py:.*",
        r"(anyio|asyncio|collections|contextvars|logging|types|typing|typing_extensions)\..*",
    ),
    ("py:.*", r"(opentelemetry|prometheus_client)\..*"),
    # In annotations: type variables, and aliases that exist for type checkers only.
    (
        "py:(class|obj)",
        r"(conveyor\.[\w.]+\.)?(In|Out|Next|Self|T|Ts|Composable|Data|MaxSize|OnFailure)",
    ),
    # Sphinx before 8.2 does not find ``py:type`` from annotations.
    ("py:class", r"(conveyor\.)?(ErrorAction|ExecutionMode|KeyErrorAction|RunOutcome)"),
]

html_theme = "furo"
html_title = f"Conveyor {version}"
html_copy_source = False
html_show_sphinx = False
copybutton_prompt_text = "$ "


def setup(app: Sphinx) -> None:
    # Show the one signature that a function has, not the many that type checkers are told of.
    for module in ("conveyor.decorators", "conveyor.tasks"):
        analyzer = ModuleAnalyzer.for_module(module)
        analyzer.analyze()
        analyzer.overloads.clear()
    app.connect("autodoc-process-signature", spell_out_defaults)


def spell_out_defaults(
    app: Sphinx,
    what: str,
    name: str,
    obj: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Make the signatures of dataclasses valid: "<factory>" is not Python."""
    return signature and signature.replace("<factory>", "{}"), returns
