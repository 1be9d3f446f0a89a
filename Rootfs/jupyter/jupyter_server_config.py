# A server behind Plane's proxy, for the one user whose backend this is. (`c` is made by whoever reads this file.)
import os

c.ServerApp.ip = "127.0.0.1"  # noqa: F821
c.ServerApp.port = int(os.environ.get("PORT", "8080"))  # noqa: F821
c.ServerApp.port_retries = 0  # noqa: F821
c.ServerApp.open_browser = False  # noqa: F821
c.ServerApp.root_dir = os.path.expanduser("~")  # noqa: F821

# Plane's token in the URL says who may come here, so there is no second one; the proxy takes it off the path, so the
# server is at the root. Every client knows a secret path: a page of somebody else can neither guess nor forge it, and
# the Host and Origin that a browser sends are those of the proxy.
c.IdentityProvider.token = ""  # noqa: F821
c.ServerApp.disable_check_xsrf = True  # noqa: F821
c.ServerApp.allow_remote_access = True  # noqa: F821
c.ServerApp.allow_origin = "*"  # noqa: F821

# There is nobody to ask for news, and no folder that outlives the backend.
c.ServerApp.log_level = "WARN"  # noqa: F821
c.FileContentsManager.delete_to_trash = False  # noqa: F821

# Plane asks with HEAD /api whether the server is ready, and jupyter-server has only a GET there.
from jupyter_server.base.handlers import APIVersionHandler  # noqa: E402

APIVersionHandler.head = APIVersionHandler.get
