"""How Sphinx makes the site; tools/build_site.py writes the pages next to this file."""

from importlib.metadata import version as version_of

project = "ddw_graph"
release = version_of("ddw_graph")
copyright = "ddw_graph contributors"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
]

myst_heading_anchors = 4
myst_enable_extensions = ["html_image"]
suppress_warnings = [
    "myst.header",  # a page may begin a part with a smaller heading
    "misc.highlighting_failure",  # blocks without a language are output
]

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_use_type_comments = False
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Shapes", "Source"]
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"

# No link of the theme's leads to a server that a reader did not choose.
html_theme = "furo"
html_title = "ddw_graph"
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = False
html_last_updated_fmt = None


def foreign(app, what, name, thing, skip, options):
    """Leaves out what a module imports from other libraries."""
    module = getattr(thing, "__module__", None)
    if callable(thing) and isinstance(module, str):
        return skip or not module.startswith("ddw_graph")
    return skip


def examples_as_code(app, context, lines):
    """Shows the examples in a command's help as they are typed."""
    shown, inside = [], False
    for line in lines:
        example = line.startswith("| ")
        if example and not inside:
            shown += ["::", ""]
        shown.append(f"    {line[2:]}" if example else line)
        inside = example
    lines[:] = shown


WORDS_OF_VALUES = {}


def keep_words(app, what, name, thing, options, lines):
    """Keeps what a value's docstring says, before Napoleon reads it."""
    if what in ("data", "attribute"):
        WORDS_OF_VALUES[name] = list(lines)


def give_words_back(app, what, name, thing, options, lines):
    """Undoes what Napoleon makes of it: a type of all that stands before a colon."""
    if name in WORDS_OF_VALUES:
        lines[:] = WORDS_OF_VALUES.pop(name)


def setup(app):
    """Connects them; Napoleon's own place in the order is 500."""
    app.connect("autodoc-skip-member", foreign)
    app.connect("autodoc-process-docstring", keep_words, priority=400)
    app.connect("autodoc-process-docstring", give_words_back, priority=600)
    app.connect("sphinx-click-process-description", examples_as_code)
