"""From a page's wikitext to Markdown.

A page is walked through once, and every step takes time in proportion to its length:

1. ``opaque``: comments, references and galleries go; ``<nowiki>``, code and formulas are put where
   no later step reads markup in them.
2. ``links``: ``[[links]]`` become their text; categories are collected; files go.
3. ``braces`` finds templates, innermost first, and ``templates`` says what each leaves behind.
4. ``inline``: bold, HTML tags, external links, character entities.
5. ``blocks`` and ``tables``: lines become headings, lists, paragraphs and tables.

What a template leaves behind, in the order in which it is decided:

- a parser function or magic word: its branch or value where the page alone determines it;
- a known name (``known``, ``computed``): formatting keeps its text, a reading stands behind its
  word in brackets, notes, navigation, maintenance and citations leave nothing;
- the code of a country (``{{JPN}}``) its name, and ``{{lang-xx}}`` the language and the text;
- an infobox, by its name or because it begins a line and names three parameters or more: a table
  of fields and values; of the latter, those of one template that follow each other are the rows of
  one table;
- any other: an argument that spans lines or holds a sentence is kept, wherever it stands. Within a
  line, a single argument is taken for formatted text and kept. The rest, and a template with a
  line of its own, is maintenance or navigation and leaves nothing.

mwparserfromhell reads the same templates and links; the tests compare with it. It is not used here
because it builds a tree of the whole page, at a fraction of the speed, and gives up on templates
that are nested deeply.
"""

from animelm.corpus.wikitext.page import PageError, RenderedPage, render_page

__all__ = ["PageError", "RenderedPage", "render_page"]
