"""Renders one page from wikitext to Markdown."""

from dataclasses import dataclass
from datetime import date

from animelm.corpus.wikitext.blocks import render_blocks
from animelm.corpus.wikitext.context import Context, TooDeepError, language_of
from animelm.corpus.wikitext.extension_tags import remove_extension_tags
from animelm.corpus.wikitext.inline import replace_inline
from animelm.corpus.wikitext.language_variants import choose_variants
from animelm.corpus.wikitext.links import link_text, replace_simple_links
from animelm.corpus.wikitext.strip_markers import NO_BREAK, decode, sanitize
from animelm.corpus.wikitext.templates.braces import expand
from animelm.corpus.wikitext.templates.replacement import render_template
from animelm.errors import UserError


class PageError(UserError):
    """A page that cannot be converted to Markdown.

    Attributes:
        title: the page's title.
        reason: why.
    """

    def __init__(self, title: str, reason: str) -> None:
        super().__init__(f"page {title!r}: {reason}")
        self.title = title
        self.reason = reason


@dataclass(frozen=True)
class RenderedPage:
    """A page as Markdown.

    Attributes:
        markdown: begins with ``# Title`` and ends with one line break; of the control characters
            only ``\\n`` occurs.
        categories: names without prefix and sort key, each once.
    """

    markdown: str
    categories: tuple[str, ...]


def render_page(title: str, wikitext: str, today: date | None = None) -> RenderedPage:
    """Converts the wikitext of an article to Markdown.

    Args:
        title: its title, in which a colon or a slash has no meaning.
        wikitext: wikitext as in a dump; unclosed markup is read as text.
        today: the day of ``{{CURRENTYEAR}}`` and of ages; None leaves them out.

    Raises:
        PageError: templates or tables are nested more than 100 levels deep, or more than 100,000
            brackets are open at once.
    """
    text = sanitize(wikitext)
    context = Context(title, language_of(text), today)
    text = choose_variants(remove_extension_tags(text, context))
    text = replace_simple_links(text, context)
    try:
        text = expand(
            text,
            lambda arguments, begins, alone: render_template(arguments, begins, alone, context),
            lambda arguments: link_text(arguments[0], tuple(arguments[1:]), context),
        )
        body = decode(render_blocks(replace_inline(text), context))
    except TooDeepError as error:
        raise PageError(title, str(error)) from error
    heading = f"# {' '.join(decode(sanitize(title)).split())}"
    body = context.resolve(body).replace(NO_BREAK, " ").strip()
    markdown = f"{heading}\n\n{body}".rstrip() + "\n"
    return RenderedPage(markdown, tuple(decode(name) for name in context.categories))
