"""An RTSP camera on loopback for tests: a GStreamer server in its own process, run by the system's Python.

    /usr/bin/python3 rtsp_server.py PORT CODEC WIDTH HEIGHT [USER PASSWORD]

Serves rtsp://127.0.0.1:PORT/line and prints `ready`; CODEC is `jpeg`, `h264` or `h265`. SIGUSR1 halves the image size,
as a change of the camera's settings does.
"""

import signal
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

ENCODERS = {
    "jpeg": "jpegenc ! rtpjpegpay",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! h265parse ! rtph265pay config-interval=1",
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! h264parse ! rtph264pay config-interval=1",
}


def main() -> None:
    port, codec, width, height = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    Gst.init(None)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( videotestsrc is-live=true pattern=ball ! videoscale ! "
        f"capsfilter name=size caps=video/x-raw,format=I420,width={width},height={height},framerate=25/1 ! "
        f"{ENCODERS[codec]} name=pay0 pt=96 )"
    )
    factory.set_shared(True)
    media = []
    factory.connect("media-configure", lambda _factory, configured: media.append(configured))
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    server.get_mount_points().add_factory("/line", factory)
    if len(sys.argv) > 5:
        protect(server, factory, sys.argv[5], sys.argv[6])
    if server.attach(None) == 0:
        sys.exit(f"port {port} is not available")

    def shrink() -> bool:
        caps = f"video/x-raw,format=I420,width={width // 2},height={height // 2},framerate=25/1"
        media[-1].get_element().get_by_name("size").set_property("caps", Gst.Caps.from_string(caps))
        return True

    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGUSR1, shrink)
    print("ready", flush=True)
    GLib.MainLoop().run()


def protect(
    server: "GstRtspServer.RTSPServer", factory: "GstRtspServer.RTSPMediaFactory", user: str, word: str
) -> None:
    """Accept only this user."""
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, word), token)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(permissions)
    server.set_auth(auth)


main()
