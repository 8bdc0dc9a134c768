"""Every screen, once: what the navigation, the help and the tests read."""

from __future__ import annotations

from dataclasses import dataclass

from db.permissions import Permission


def N_(message: str) -> str:
    """Mark a string for translation where it cannot be translated yet."""
    return message


@dataclass(frozen=True)
class Screen:
    """One screen: `path` is its URL, its file name, its manual page and the prefix of its widget keys."""

    section: str
    path: str
    title: str
    icon: str
    permission: Permission
    help: str
    listed: bool = True

    @property
    def file(self) -> str:
        """Path of the script from the repository's root."""
        return f"pages/{self.section}/{self.path}.py"


SECTIONS = {
    "today": N_("My day"),
    "customers": N_("Customers"),
    "insight": N_("Insight"),
    "marketing": N_("Marketing"),
    "data": N_("Data"),
    "admin": N_("Admin"),
    "personal": N_("Me"),
}

# The first screen is also what "/" opens.
SCREENS: tuple[Screen, ...] = (
    Screen(
        "insight",
        "overview",
        N_("Overview"),
        ":material/monitoring:",
        Permission.OVERVIEW_READ,
        N_("Customers, orders and revenue of a period, against the period before."),
    ),
    Screen(
        "today",
        "today",
        N_("Today"),
        ":material/today:",
        Permission.TASKS_READ,
        N_("Your tasks of the day, customers who have fallen quiet, and those you worked with last."),
    ),
    Screen(
        "insight",
        "segments",
        N_("Segments"),
        ":material/pie_chart:",
        Permission.SEGMENTS_READ,
        N_("Groups of customers by rules: ready-made ones, yours, and those that colleagues share."),
    ),
    Screen(
        "insight",
        "segment",
        N_("Segment"),
        ":material/pie_chart:",
        Permission.SEGMENTS_READ,
        N_("Build a rule and see at once who fits, how many they are and how they differ from everyone."),
        listed=False,
    ),
    Screen(
        "insight",
        "clusters",
        N_("Clusters"),
        ":material/bubble_chart:",
        Permission.SEGMENTS_READ,
        N_("Customers who buy alike, found by their figures; each cluster can be counted and kept as a segment."),
    ),
    Screen(
        "insight",
        "cohorts",
        N_("Cohorts"),
        ":material/view_comfy:",
        Permission.SEGMENTS_READ,
        N_("Who buys again in the months after the first purchase, by month, of everyone or a segment."),
    ),
    Screen(
        "insight",
        "repeats",
        N_("Repeat purchases"),
        ":material/replay:",
        Permission.SEGMENTS_READ,
        N_("How many buy a second or third time within how many days, and the usual intervals between purchases."),
    ),
    Screen(
        "insight",
        "affinity",
        N_("Bought together"),
        ":material/shopping_basket:",
        Permission.SEGMENTS_READ,
        N_("Which product categories stand in the same orders, how much more often than by chance, and whom to offer."),
    ),
    Screen(
        "insight",
        "flows",
        N_("Flows"),
        ":material/alt_route:",
        Permission.SEGMENTS_READ,
        N_("Who moved from which stage or RFM class to which, between month ends and today."),
    ),
    Screen(
        "insight",
        "lifecycle",
        N_("Stages and scores"),
        ":material/rule:",
        Permission.OVERVIEW_READ,
        N_("The rules of the stages and the bounds of the scores: try others, see what they change, compare versions."),
    ),
    Screen(
        "insight",
        "board",
        N_("My board"),
        ":material/dashboard:",
        Permission.VIEWS_EDIT,
        N_("Charts kept from cohorts, repeat purchases, clusters and segments, side by side and always as of now."),
    ),
    Screen(
        "customers",
        "customers",
        N_("Customers"),
        ":material/groups:",
        Permission.CUSTOMERS_READ,
        N_("Find a customer by name, pinyin, e-mail or part of a phone number."),
    ),
    Screen(
        "customers",
        "customer",
        N_("Customer"),
        ":material/person:",
        Permission.CUSTOMERS_READ,
        N_("Everything about one customer: profile, purchases, campaigns, notes and history."),
        listed=False,
    ),
    Screen(
        "customers",
        "said",
        N_("Notes and talks"),
        ":material/forum:",
        Permission.PERSONAL_READ,
        N_("Search in what was written: notes, calls, mails, meetings, tasks and names of files."),
    ),
    Screen(
        "marketing",
        "campaigns",
        N_("Campaigns"),
        ":material/campaign:",
        Permission.CAMPAIGNS_READ,
        N_("How each campaign did: reached, redeemed, revenue, against the time before."),
    ),
    Screen(
        "marketing",
        "campaign",
        N_("Campaign"),
        ":material/campaign:",
        Permission.CAMPAIGNS_READ,
        N_("One campaign by day, by people and by product, beside another one."),
        listed=False,
    ),
    Screen(
        "marketing",
        "funnel",
        N_("Funnel"),
        ":material/filter_alt:",
        Permission.CAMPAIGNS_READ,
        N_("From received to redeemed: who stayed at which step of a campaign."),
    ),
    Screen(
        "data",
        "changes",
        N_("Changes"),
        ":material/history:",
        Permission.CHANGES_READ,
        N_("Who changed what and when, with undo."),
    ),
    Screen(
        "admin",
        "users",
        N_("Users"),
        ":material/admin_panel_settings:",
        Permission.USERS_MANAGE,
        N_("Who may sign in, with which rights, and who sees which customer."),
    ),
    Screen(
        "admin",
        "fields",
        N_("Fields"),
        ":material/list_alt:",
        Permission.FIELDS_EDIT,
        N_("Fields of your own for customers: add, change, order and archive them."),
    ),
    Screen(
        "personal",
        "account",
        N_("My account"),
        ":material/manage_accounts:",
        Permission.ACCOUNT_EDIT,
        N_("Your password, your language and where you are signed in."),
    ),
)

BY_PATH = {screen.path: screen for screen in SCREENS}
