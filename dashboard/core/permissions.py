"""How a view says which permission it needs.

::

    @needs(get="read", post="edit")
    def peer(request, uuid): …

A view without a declaration answers nobody (``dashboard.accounts.middleware.Permissions``), and a
method that is not declared is answered with 405. ``docs/roles.md`` lists every address with every
role, and a test asks each pair.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from dashboard.core.roles import Permission

ATTRIBUTE = "needed_permissions"
_BY_KEY = "asked_by_key"
Needs = dict[str, Permission]


def needs(**methods: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare the permission per HTTP method: ``needs(get="read", post="edit")``; HEAD goes with GET.

    :raises ValueError: at import, if a permission does not exist.
    """
    declared = {method.upper(): Permission(name) for method, name in methods.items()}

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        # A view of a library is not ours to mark: the mark goes on a wrapper.
        @wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return view(*args, **kwargs)

        setattr(wrapper, ATTRIBUTE, declared)
        return wrapper

    return decorate


def mark(view: Callable[..., Any], declared: Needs) -> None:
    """The same for a view that was made by the API, which asks for a key instead of a session."""
    setattr(view, ATTRIBUTE, declared)
    setattr(view, _BY_KEY, True)


def is_by_key(view: Callable[..., Any]) -> bool:
    """Whether a view is asked with an API key."""
    return bool(getattr(view, _BY_KEY, False))


def needs_of(view: Callable[..., Any]) -> Needs | None:
    """What a view has declared; None if it has forgotten to."""
    return getattr(view, ATTRIBUTE, None) or getattr(getattr(view, "view_class", None), ATTRIBUTE, None)
