"""Sphinx configuration; build with ``python -m sphinx -W --keep-going docs out``."""

import sys
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import generated_pages  # noqa: E402

import kldiv  # noqa: E402

project = "kldiv"
author = "The kldiv developers"
copyright = author
version = release = kldiv.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "mathml",
    "text_table",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_ext", "examples", "whats_new/*.*.rst"]
suppress_warnings = ["config.cache"]
default_role = "code"
nitpicky = True
# Types of other libraries, and numpydoc's words for shapes, have no page here.
nitpick_ignore_regex = [
    (r"py:.*", r"(numpy|np|scipy|sklearn|joblib|NDArray)(\..*)?"),
    (r"py:.*", r"(pandas|pd|matplotlib|torch)(\..*)?"),
    (r"py:.*", r"(ArrayLike|Axes|DataFrame|FloatArray|Tensor|Path|PathLike|Any)"),
    (r"py:.*", r"(collections|pathlib|typing|dataclasses)\..*"),
]
html_math_renderer = "mathml"
templates_path = ["_templates"]

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
    "image_scrapers": ("matplotlib",),
    "matplotlib_animations": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "show_memory": False,
    "doc_module": ("kldiv", "kldiv_attack"),
    "reference_url": {"kldiv": None},
    "backreferences_dir": "api/backreferences",
    "within_subsection_order": "FileNameSortKey",
    "plot_gallery": "True",
}
# What an example warns of is shown without the path of the checkout.
warnings.formatwarning = lambda message, category, *_: (
    f"{category.__name__}: {message}\n"
)
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "kldiv"
html_static_path = ["_static"]
html_css_files = ["kldiv.css"]
html_favicon = "_static/logo.svg"
html_show_sourcelink = False
html_theme_options = {
    "logo": {
        "image_light": "_static/logo.svg",
        "image_dark": "_static/logo.svg",
        "text": "kldiv",
    },
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"index": [], "install": [], "tutorial": [], "citation": []}
html_context = {"default_mode": "auto"}

generated_pages.write(HERE)
