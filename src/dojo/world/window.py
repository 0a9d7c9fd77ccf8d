"""Panda3D at arm's length: an off-screen window whose lens is the camera's, meshes and textures put into it.

In: a camera, meshes, pictures. Out: pictures of the scene, with depth where wanted.
Idea: everything here was measured on the software display rather than taken from a manual: it maps the view to half a
pixel less than the window, keeps the alpha of the first texture only, clamps both texture axes or neither, and never
frees a window. Each is dealt with where it shows; with OpenGL the same code draws the same scene.
Not here: what is in the scene (`render.py`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from panda3d import core

from dojo.errors import ConfigError
from dojo.geometry import Camera
from dojo.world.mesh import Mesh
from dojo.world.weather import FAR_M, depth_code

NEAR_M = 0.4
DISPLAYS = ("p3tinydisplay", "pandagl", "p3headlessgl")


@lru_cache
def _pipe(display: str) -> Any:
    """The graphics pipe of a display, one per process."""
    core.load_prc_file_data(
        "dojo", "window-type offscreen\naudio-library-name null\nnotify-level-display fatal\ntextures-power-2 none\n"
    )
    pipe = core.GraphicsPipeSelection.get_global_ptr().make_module_pipe(display)
    if pipe is None:
        raise ConfigError(f"renderer: display {display!r} cannot be opened on this machine; use 'p3tinydisplay'")
    return pipe


@lru_cache
def _spare_buffers(display: str, size: tuple[int, int]) -> list[Any]:
    """Off-screen buffers that nobody uses: the software display never frees one (measured), so they are used again."""
    return []


def _make_buffer(display: str, size: tuple[int, int]) -> Any:
    bits = core.FrameBufferProperties()
    bits.set_rgba_bits(8, 8, 8, 8)
    bits.set_depth_bits(24)
    buffer = core.GraphicsEngine.get_global_ptr().make_output(
        _pipe(display), "camera", 0, bits, core.WindowProperties.size(*size), core.GraphicsPipe.BF_refuse_window
    )
    if buffer is None:
        raise ConfigError(f"renderer: display {display!r} cannot draw off-screen here; use 'p3tinydisplay'")
    buffer.set_active(False)
    buffer.set_clear_color((0, 0, 0, 1))
    return buffer


class Window:
    """An off-screen buffer, a scene with the eye at its origin, and a lens that is the camera's."""

    def __init__(self, camera: Camera, supersampling: tuple[int, int], display: str) -> None:
        if display not in DISPLAYS:
            raise ConfigError(f"renderer: expected a display from {', '.join(DISPLAYS)}, got {display!r}")
        self._size = (camera.width_px, camera.height_px)
        self._times = supersampling
        drawn = (camera.width_px * supersampling[0], camera.height_px * supersampling[1])
        self._spares = _spare_buffers(display, drawn)
        self._buffer = self._spares.pop() if self._spares else _make_buffer(display, drawn)
        self._texture = core.Texture()
        self._buffer.add_render_texture(self._texture, core.GraphicsOutput.RTM_copy_ram)
        self.scene = core.NodePath("scene")
        self._eye = self.scene.attach_new_node(core.Camera("camera", _lens(camera, drawn, display)))
        self._buffer.make_display_region().set_camera(self._eye)

    def look_along(self, world_from_camera: np.ndarray) -> None:
        """Turn the eye; Panda3D's axes are right, forward, up where the camera's are right, down, forward."""
        right, down, forward = world_from_camera.T
        self._eye.set_mat(core.LMatrix4(*right, 0, *forward, 0, *(-down), 0, 0, 0, 0, 1))

    def draw(self, with_code: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """RGB picture at the camera's size, and the depth codes if wanted."""
        self._buffer.set_active(True)
        core.GraphicsEngine.get_global_ptr().render_frame()
        self._buffer.set_active(False)
        width, height = self._size
        raw = np.frombuffer(self._texture.get_ram_image(), np.uint8)
        raw = raw.reshape(height * self._times[1], width * self._times[0], -1)
        small = _averaged(raw, *self._times)  # the bottom row first
        code = np.asarray(cv2.flip(cv2.extractChannel(small, 3), 0)) if with_code else None
        return np.asarray(cv2.flip(cv2.cvtColor(small, cv2.COLOR_BGRA2RGB), 0)), code

    def close(self) -> None:
        """Give everything back."""
        # The display keeps what it has prepared; told to let go, a process can draw one drive after another.
        for texture in [*self.scene.find_all_textures(), self._texture]:
            texture.release_all()
            texture.clear()
        self.scene.remove_node()
        self._buffer.clear_render_textures()
        self._buffer.remove_all_display_regions()
        self._spares.append(self._buffer)
        core.RenderState.garbage_collect()
        core.TransformState.garbage_collect()


def _averaged(raw: np.ndarray, across: int, down: int) -> np.ndarray:
    """Means of blocks of pixels."""
    if (across, down) == (1, 2):  # OpenCV's average is fast for equal factors only
        return np.asarray(cv2.addWeighted(raw[::2], 0.5, raw[1::2], 0.5, 0.0))
    size = (raw.shape[1] // across, raw.shape[0] // down)
    return np.asarray(cv2.resize(raw, size, interpolation=cv2.INTER_AREA)) if across * down > 1 else raw


def _lens(camera: Camera, drawn: tuple[int, int], display: str) -> Any:
    """A lens whose picture is the camera's: pixel (0, 0) has its centre half a pixel inside the corner."""
    (fx, fy), (cx, cy) = camera.focal_px, camera.centre_px
    w, h = camera.width_px, camera.height_px
    far = FAR_M * 1.5
    # The software display maps the view to half a drawn pixel less than the width and height (measured), from the top
    # left corner; stretched by as much, its picture agrees with the camera.
    stretch_x, stretch_y = (n / (n - 0.5) if display == "p3tinydisplay" else 1.0 for n in drawn)
    # What eye x (right), y (forward) and z (up) add to clip x and y; clip w is y.
    x_right, x_forward = 2 * fx / w, 2 * (cx + 0.5) / w - 1
    y_up, y_forward = 2 * fy / h, 1 - 2 * (cy + 0.5) / h
    matrix = core.LMatrix4(
        stretch_x * x_right, 0, 0, 0,
        stretch_x * (x_forward + 1) - 1, stretch_y * (y_forward - 1) + 1, (far + NEAR_M) / (far - NEAR_M), 1,
        0, stretch_y * y_up, 0, 0,
        0, 0, -2 * far * NEAR_M / (far - NEAR_M), 0,
    )  # fmt: skip
    lens = core.MatrixLens()
    lens.set_user_mat(matrix)
    lens.set_near_far(NEAR_M, far)
    return lens


def attach(parent: Any, mesh: Mesh, texture: Any | None) -> Any:
    """A mesh as a node."""
    rows = np.zeros(len(mesh.points_m), [("point", "f4", 3), ("rgba", "u1", 4), ("uv", "f4", 2)])
    rows["point"], rows["uv"] = mesh.points_m, mesh.uv
    rows["rgba"] = 255
    rows["rgba"][:, :3] = np.clip(255 * mesh.rgb, 0, 255)
    data = core.GeomVertexData("mesh", core.GeomVertexFormat.get_v3c4t2(), core.Geom.UH_static)
    data.unclean_set_num_rows(len(rows))
    data.modify_array_handle(0).copy_data_from(rows.tobytes())
    triangles = core.GeomTriangles(core.Geom.UH_static)
    triangles.set_index_type(core.Geom.NT_uint32)
    indices = triangles.modify_vertices(mesh.triangles.size)
    indices.unclean_set_num_rows(mesh.triangles.size)
    indices.modify_handle().copy_data_from(np.ascontiguousarray(mesh.triangles).tobytes())
    geom = core.Geom(data)
    geom.add_primitive(triangles)
    node = core.GeomNode("mesh")
    node.add_geom(geom)
    path = parent.attach_new_node(node)
    path.set_two_sided(True)
    if texture is not None:
        path.set_texture(texture)
    return path


def as_texture(picture: np.ndarray, *, repeat: bool = True) -> Any:
    """A picture as a texture with mip-maps; Panda3D wants blue first and the bottom row first."""
    rows, columns = picture.shape[:2]
    texture = core.Texture()
    texture.setup_2d_texture(columns, rows, core.Texture.T_unsigned_byte, core.Texture.F_rgb)
    texture.set_ram_image(cv2.flip(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), 0).tobytes())
    texture.set_minfilter(core.SamplerState.FT_linear_mipmap_linear)
    texture.set_magfilter(core.SamplerState.FT_linear)
    if not repeat:
        texture.set_wrap_v(core.SamplerState.WM_clamp)
        texture.set_minfilter(core.SamplerState.FT_nearest)
    return texture


def carry_depth(*roots: Any) -> None:
    """Have the depth code of each pixel written to the alpha channel: a texture looked up by depth from the eye."""
    texels = 4096
    depth = (np.arange(texels) + 0.5) / texels * FAR_M
    rgba = np.full((1, texels, 4), 255, np.uint8)
    rgba[0, :, 3] = np.minimum(depth_code(depth), 254)
    texture = core.Texture()
    texture.setup_2d_texture(texels, 1, core.Texture.T_unsigned_byte, core.Texture.F_rgba)
    texture.set_ram_image(rgba.tobytes())
    texture.set_minfilter(core.SamplerState.FT_nearest)
    texture.set_magfilter(core.SamplerState.FT_nearest)
    texture.set_wrap_u(core.SamplerState.WM_clamp)  # the software display clamps both axes or neither
    texture.set_wrap_v(core.SamplerState.WM_clamp)
    stage = core.TextureStage("depth")
    stage.set_sort(-10)  # before the colours: the software display takes alpha from the first texture alone
    stage.set_mode(core.TextureStage.M_modulate)
    by_depth = core.LMatrix4(0, 0, 0, 0, 1 / FAR_M, 0, 0, 0, 0, 0, 0, 0, 0, 0.5, 0, 1)
    for root in roots:
        root.set_texture(stage, texture)
        root.set_tex_gen(stage, core.TexGenAttrib.M_eye_position)
        root.set_tex_transform(stage, core.TransformState.make_mat(by_depth))
