"""The names of a page that wikitext can ask for, as in ``{{PAGENAME}}``."""

ARTICLES = 0
# Articles and categories have no subpages on Wikipedia: a slash belongs to the name.
_WITHOUT_NAMESPACE = ("PAGENAME", "BASEPAGENAME", "SUBPAGENAME", "ROOTPAGENAME")
_WITH_NAMESPACE = ("FULLPAGENAME", "ARTICLEPAGENAME", "SUBJECTPAGENAME")


def page_names(title: str, namespace: int = ARTICLES) -> dict[str, str]:
    """What each of MediaWiki's variables for a page's name holds.

    Args:
        title: title, with the name of the namespace unless the page is an article.
        namespace: number of the namespace. The title of an article may hold a colon itself.
    """
    name = title if namespace == ARTICLES else title.partition(":")[2] or title
    return dict.fromkeys(_WITHOUT_NAMESPACE, name) | dict.fromkeys(_WITH_NAMESPACE, title)
