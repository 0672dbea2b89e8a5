"""An RTSP camera on loopback for tests: a GStreamer server in its own process, run by the system's Python.

    /usr/bin/python3 rtsp_server.py ADDRESS:PORT CODECS WIDTH HEIGHT [USER PASSWORD]

Serves rtsp://ADDRESS:PORT/line and prints `ready`; CODECS is one of ENCODERS, or several with commas. SIGUSR1 halves
the image size, as a change of the camera's settings does. SIGUSR2 goes on with the next codec, in the same session and
after the next connection.
"""

import signal
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

X265 = "x265enc speed-preset=ultrafast key-int-max=10"
PAY265 = "h265parse ! rtph265pay config-interval=1"
PAY264 = "h264parse ! rtph264pay config-interval=1"
ENCODERS = {
    "jpeg": "jpegenc ! rtpjpegpay",
    "h264": f"openh264enc gop-size=10 ! {PAY264}",
    "h265": f"{X265} tune=zerolatency ! {PAY265}",
    "h265-b-frames": f"{X265} option-string=bframes=3:b-adapt=0:rc-lookahead=5 ! {PAY265}",
}


def main() -> None:
    address, _, port = sys.argv[1].partition(":")
    codecs, width, height = sys.argv[2].split(","), int(sys.argv[3]), int(sys.argv[4])
    Gst.init(None)
    factory = GstRtspServer.RTSPMediaFactory()
    caps = f"video/x-raw,format=I420,width={width},height={height},framerate=25/1"
    factory.set_launch(
        "( input-selector name=pay0 sync-streams=false "
        f"videotestsrc is-live=true pattern=ball ! videoscale ! capsfilter name=size caps={caps} ! tee name=images "
        + " ".join(f"images. ! queue ! {ENCODERS[codec]} pt=96 ! pay0.sink_{n}" for n, codec in enumerate(codecs))
        + " )"
    )
    factory.set_shared(True)
    media, codec = [], [0]

    def choose() -> None:
        selector = media[-1].get_element().get_by_name("pay0")
        selector.set_property("active-pad", selector.get_static_pad(f"sink_{codec[0]}"))

    def configured(_factory: object, new: "GstRtspServer.RTSPMedia") -> None:
        media.append(new)
        choose()

    factory.connect("media-configure", configured)
    server = GstRtspServer.RTSPServer()
    server.set_address(address)
    server.set_service(port)
    server.get_mount_points().add_factory("/line", factory)
    if len(sys.argv) > 5:
        protect(server, factory, sys.argv[5], sys.argv[6])
    if server.attach(None) == 0:
        sys.exit(f"port {port} is not available")

    def change_codec() -> bool:
        codec[0] = (codec[0] + 1) % len(codecs)
        choose()
        return True

    def shrink() -> bool:
        caps = f"video/x-raw,format=I420,width={width // 2},height={height // 2},framerate=25/1"
        media[-1].get_element().get_by_name("size").set_property("caps", Gst.Caps.from_string(caps))
        return True

    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGUSR1, shrink)
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGUSR2, change_codec)
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
