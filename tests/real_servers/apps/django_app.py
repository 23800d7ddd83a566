"""Django and Django REST framework, and the responses without content that applications send all the same with some.

A 204 must have neither content nor a length (RFC 9110 section 8.6, RFC 9112 section 6.1); frameworks leave that to their users.
"""

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
    ROOT_URLCONF=__name__,
    SECRET_KEY="for tests",
    USE_TZ=False,
)
django.setup()

from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402


class Item(APIView):
    """A delete as tutorials show it, and as people write it."""

    def get(self, request) -> Response:
        return Response({"item": 1})

    def delete(self, request) -> Response:
        return Response(status=204)

    def put(self, request) -> Response:
        return Response({"detail": "changed"}, status=204)

    def patch(self, request) -> Response:
        return Response(None, status=204)


def coded(request) -> HttpResponse:
    return HttpResponse(b"deleted", status=204, headers={"Transfer-Encoding": "chunked"})


urlpatterns = [
    path("item", Item.as_view()),
    path("json", lambda request: JsonResponse({"detail": "deleted"}, status=204)),
    path("coded", coded),
]

app = get_wsgi_application()

if __name__ == "__main__":
    import sys

    from cheroot.wsgi import Server

    Server(("127.0.0.1", int(sys.argv[1])), app).start()
