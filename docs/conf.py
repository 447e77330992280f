"""The site: `make docs`. rosdoc2 reads this file as well, and brings a theme of its own."""

project = 'emotion_perception'
author = 'emotion_perception maintainers'
copyright = f'{author}. Code: Apache-2.0; trained weights: research only'

extensions = ['myst_parser']
source_suffix = {'.md': 'markdown', '.rst': 'restructuredtext'}
myst_heading_anchors = 4
smartquotes = False  # --clock is no dash
exclude_patterns = ['conf.py']

html_theme = 'furo'
html_title = 'emotion_perception'
html_logo = 'images/logo.svg'
html_static_path = ['_static']
html_css_files = ['site.css']
html_favicon = 'images/logo.svg'
html_show_sphinx = False
html_copy_source = False
