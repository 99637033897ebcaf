"""Converts a page's wikitext to Markdown.

Each step takes time proportional to the length of the page:

1. ``extension_tags``: comments, references and galleries are removed; ``<nowiki>``, code and
   formulas are protected from later steps.
2. ``language_variants``: of ``-{zh-hans:甲;zh-hant:乙}-`` one variant is kept. ``links``:
   ``[[links]]`` become their text; categories are collected; files are removed.
3. ``templates.braces`` finds templates, innermost first, and ``templates.replacement`` replaces
   each.
4. ``inline``: bold, HTML tags, external links, character entities.
5. ``blocks`` and ``tables``: lines become headings, lists, paragraphs and tables.

What replaces a template, the first rule that applies:

- a parser function or magic word: its branch or value, by the rules of MediaWiki, if the page and
  its day alone determine it; where MediaWiki shows an error message, nothing;
- a known name (``template_rules``, ``template_functions``): formatting is replaced by its text, a
  reading follows its word in brackets, notes, navigation, maintenance and citations are removed;
- a country code (``{{JPN}}``): its name; ``{{lang-xx}}``: the language and the text;
- an infobox, recognized by its name or because it begins a line and has three named parameters or
  more: a table of fields and values. Consecutive ones of the latter kind, if of one template,
  become the rows of one table;
- any other: an argument that spans lines or contains a sentence is kept. Within a line, a single
  argument is taken for formatted text and kept. Everything else, including a template on a line of
  its own, is taken for maintenance or navigation and removed.

mwparserfromhell parses the same templates and links; the tests compare with it. It is not used here
because it builds a tree of the whole page, which is several times slower, and does not parse deeply
nested templates.
"""

from animelm.corpus.wikitext.page import PageError, RenderedPage, render_page

__all__ = ["PageError", "RenderedPage", "render_page"]
