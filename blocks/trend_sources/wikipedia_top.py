"""Articles that were read most on a day, by language.

Source: wikimedia.org/api/rest_v1, metrics/pageviews/top, whose names have underscores for spaces; and the list without
its envelope that the program Topviews keeps. A day is counted some hours after it ends, until then it is not found.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from blocks.documents import UnreadableError, json_document, named
from blocks.trend_sources.pages import JSON, count, judged, unread
from blocks.trend_sources.source import Address, Bound, Observation, Reading, TrendSource

TOP = "https://wikimedia.org/api/rest_v1/metrics/pageviews/top"
UNIT = "views on the day"
# Nearly all readers on telephones, or nearly none: robots, or a name that browsers ask for by themselves.
MOBILE_PERCENT = (5.0, 95.0)
# Main pages that bear no prefix, as their own wikis write them.
MAIN_PAGES = frozenset(
    (
        "Main Page|Hoofdpagina|Pagina principale|Заглавная страница|メインページ|الصفحة الرئيسية|Anasayfa|Ana Sayfa"
        "|Головна сторінка|صفحهٔ اصلی|עמוד ראשי|Halaman Utama|Hlavní strana|मुखपृष्ठ|Trang Chính|Forside|Kezdőlap"
        "|Pagina principală|Portada|Hovedside|Глава|Начална страница|Laman Utama|หน้าหลัก|প্রধান পাতা|முதற் பக்கம்"
        "|-|404.php|Undefined|Index.html"
    ).split("|")
)
# Namespaces that hold no articles. A colon alone is no sign: "Alien: Earth" is an article.
NAMESPACES = frozenset(
    (
        "special|spezial|spécial|especial|speciale|speciaal|specjalna|служебная|特別|特殊|خاص|özel|спеціальна|ویژه|מיוחד|istimewa"
        "|speciální|विशेष|đặc biệt|toiminnot|speciel|spesial|speciál|speciális|특수|ειδικό"
        "|wikipedia|wikipédia|wikipedie|wikipedija|vikipedi|википедия|вікіпедія|ويكيبيديا|ویکی‌پدیا|ויקיפדיה|विकिपीडिया|위키백과|βικιπαίδεια"
        "|portal|portail|portale|portaal|портал|portál|بوابة|درگاه|פורטל|πύλη|포털|cổng thông tin"
        "|file|image|datei|fichier|archivo|ficheiro|файл|ファイル|user|benutzer|utilisateur|usuario|usuário|utente|участник|利用者"
        "|talk|user talk|diskussion|discussion|help|hilfe|aide|ayuda|ajuda|aiuto|справка|category|kategorie|catégorie"
        "|categoría|categoria|категория|template|vorlage|modèle|plantilla|draft|module|mediawiki|book|gadget|timedtext|topic"
    ).split("|")
)


def source(language: str) -> TrendSource:
    """The articles of one Wikipedia; yesterday's, or the day before's as long as yesterday is not counted."""

    def read(page: bytes) -> Reading:
        return parse(page, language)

    return TrendSource("wikipedia_top", language, "api", read, _addresses(language), every_minutes=60)


def parse(page: bytes, language: str | None = None) -> Reading:
    """Articles by views; main pages, other namespaces and robots' favourites are left out, and the ranks close up."""
    try:
        document = json_document(page)
    except UnreadableError as error:
        return unread(page, str(error))
    rows = _rows(document)
    if rows is None:
        if isinstance(document, dict) and document.get("status") == 404:
            return Reading("empty", "the day is not counted yet")
        if isinstance(document, dict) and document.get("status") in (403, 429):
            return Reading("blocked", f"it says {named(document.get('title'))!r}")
        return unread(page, "no list of articles")
    observations: list[Observation] = []
    stood = left_out = 0
    for row in rows:
        name = named(row.get("article")).replace("_", " ") if isinstance(row, dict) else ""
        if name and _is_left_out(name, row):
            left_out += 1
            continue
        stood += 1
        found = _article(name, row, len(observations) + 1, language) if name else None
        if found:
            observations.append(found)
    if rows and not stood:
        return Reading("changed", f"{len(rows)} rows, but no article among them")
    what = (
        f"articles, besides {left_out} main pages, other namespaces and robots' favourites" if left_out else "articles"
    )
    return judged(observations, stood, what)


def _addresses(language: str) -> Callable[[datetime], tuple[Address, ...]]:
    def of(now: datetime) -> tuple[Address, ...]:
        days = (now.astimezone(UTC) - timedelta(days=back) for back in (1, 2))
        return tuple(
            Address(f"{TOP}/{language}.wikipedia/all-access/{day:%Y/%m/%d}", JSON, is_api=True) for day in days
        )

    return of


def _rows(document: Any) -> list[Any] | None:
    if isinstance(document, dict):
        items = document.get("items")
        first = items[0] if isinstance(items, list) and items else None
        document = first.get("articles") if isinstance(first, dict) else None
    return document if isinstance(document, list) else None


def _is_left_out(name: str, row: dict[str, Any]) -> bool:
    if name in MAIN_PAGES or name.partition(":")[0].strip().lower() in NAMESPACES and ":" in name:
        return True
    mobile = row.get("mobile_percentage")
    if isinstance(mobile, bool) or not isinstance(mobile, int | float):
        return False
    least, most = MOBILE_PERCENT
    return not least <= mobile <= most


def _article(name: str, row: dict[str, Any], rank: int, language: str | None) -> Observation | None:
    views, ceiling = count(row.get("views")), count(row.get("views_ceil"))
    if views is None and ceiling is None:
        return None
    bound: Bound = "at_most" if views is None else "exact"
    where = language or _language_of(row.get("project"))
    url = f"https://{where}.wikipedia.org/wiki/{quote(name.replace(' ', '_'), safe=':,()!*')}" if where else None
    return Observation(name, rank, "article", ceiling if views is None else views, UNIT, bound, url=url, language=where)


def _language_of(project: Any) -> str | None:
    return project.partition(".")[0] if isinstance(project, str) and project.endswith(".wikipedia") else None
