"""Procedural materials: a colour ramp driven by noise or by a shape's own tint, with bumps, flesh and gloss."""

from collections.abc import Sequence

import bpy

Nodes = bpy.types.NodeTree


def linear(code: str) -> tuple[float, float, float, float]:
    """Turn "#rrggbb" (sRGB) into linear RGBA, which is what the renderer expects."""
    values = [int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return red, green, blue, 1.0


def _math(tree: Nodes, operation: str, *inputs: object) -> bpy.types.NodeSocket:
    node = tree.nodes.new("ShaderNodeMath")
    node.operation = operation
    for socket, value in zip(node.inputs, inputs, strict=False):
        if isinstance(value, bpy.types.NodeSocket):
            tree.links.new(value, socket)
        else:
            socket.default_value = value
    return node.outputs[0]


def _coordinates(tree: Nodes, stretch: Sequence[float]) -> bpy.types.NodeSocket:
    """Object coordinates, moved by a random amount per object so that no two copies look alike."""
    where, who, move = (tree.nodes.new(f"ShaderNode{kind}") for kind in ("TexCoord", "ObjectInfo", "VectorMath"))
    move.operation = "MULTIPLY_ADD"
    move.inputs[1].default_value = stretch
    tree.links.new(where.outputs["Object"], move.inputs[0])
    tree.links.new(_math(tree, "MULTIPLY", who.outputs["Random"], 40.0), move.inputs[2])
    return move.outputs[0]


def _noise(tree: Nodes, where: bpy.types.NodeSocket, scale: float, detail: float = 5.0) -> bpy.types.NodeSocket:
    node = tree.nodes.new("ShaderNodeTexNoise")
    node.inputs["Scale"].default_value = scale
    node.inputs["Detail"].default_value = detail
    tree.links.new(where, node.inputs["Vector"])
    return node.outputs[0]


def _ramp(tree: Nodes, colours: Sequence[str], factor: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    node = tree.nodes.new("ShaderNodeValToRGB")
    elements = node.color_ramp.elements
    stops = colours if len(colours) > 1 else [*colours, *colours]
    while len(elements) < len(stops):
        elements.new(0.5)
    for i, code in enumerate(stops):
        elements[i].position = i / (len(stops) - 1)
        elements[i].color = linear(code)
    tree.links.new(factor, node.inputs[0])
    return node.outputs[0]


def _factor(tree: Nodes, noise: bpy.types.NodeSocket, tinted: bool, spread: float) -> bpy.types.NodeSocket:
    """Where on the ramp: noise alone, or the shape's tint (0 to 1) with noise of width `spread` around it."""
    around = _math(tree, "MULTIPLY", _math(tree, "SUBTRACT", noise, 0.5), spread * 2.5)
    if not tinted:
        return _math(tree, "ADD", around, 0.5)
    tint = tree.nodes.new("ShaderNodeAttribute")
    tint.attribute_name = "tint"
    return _math(tree, "ADD", around, tint.outputs["Fac"])


def _vary(tree: Nodes, shade: bpy.types.NodeSocket, amount: float) -> bpy.types.NodeSocket:
    """Make some copies a little lighter and others a little darker."""
    who, node = tree.nodes.new("ShaderNodeObjectInfo"), tree.nodes.new("ShaderNodeHueSaturation")
    tree.links.new(shade, node.inputs["Color"])
    value = _math(tree, "MULTIPLY_ADD", who.outputs["Random"], 2 * amount, 1 - amount)
    tree.links.new(value, node.inputs["Value"])
    return node.outputs[0]


def look(
    colours: str,
    *,
    scale: float = 1.0,
    spread: float = 1.0,
    tinted: bool = False,
    stretch: Sequence[float] = (1, 1, 1),
    rough: float = 0.5,
    coat: float = 0.0,
    flesh: float = 0.0,
    depth: float = 0.25,
    clear: float = 0.0,
    bump: float = 0.0,
    bump_scale: float = 6.0,
    displace: float = 0.0,
    vary: float = 0.06,
) -> bpy.types.Material:
    """Build a material.

    Args:
        colours: stops of the ramp, as "#rrggbb #rrggbb".
        scale: noise cycles per cm; `spread` is how much of the ramp the noise covers.
        tinted: place colours by the shape's own tint instead of by noise alone.
        stretch: factors of the coordinates per axis (wood grain, fibres).
        rough: roughness of the surface; `coat` adds a wet film on top (both 0 to 1).
        flesh: share of light that wanders under the surface, about `depth` cm deep.
        clear: share of light that passes through (syrup, glass).
        bump: height of fine bumps in cm, at `bump_scale` cycles per cm; `displace` really moves the surface.
        vary: difference in brightness between copies.
    """
    material = bpy.data.materials.new("look")
    material.use_nodes = True
    tree = material.node_tree
    shader = tree.nodes["Principled BSDF"]
    where = _coordinates(tree, stretch)
    factor = _factor(tree, _noise(tree, where, scale), tinted, spread)
    tree.links.new(_vary(tree, _ramp(tree, colours.split(), factor), vary), shader.inputs["Base Color"])
    _set(shader, rough=rough, coat=coat, flesh=flesh, depth=depth, clear=clear)
    height = _noise(tree, where, bump_scale)
    if bump:
        _bump(tree, shader, height, bump)
    if displace:
        _displace(material, height, displace)
    return material


def _set(shader: bpy.types.Node, *, rough: float, coat: float, flesh: float, depth: float, clear: float) -> None:
    values = {"Roughness": rough, "Coat Weight": coat, "Coat Roughness": 0.08, "Transmission Weight": clear}
    values |= {"Subsurface Weight": flesh, "Subsurface Scale": depth, "IOR": 1.4}
    for name, value in values.items():
        shader.inputs[name].default_value = value
    shader.inputs["Subsurface Radius"].default_value = (1.0, 0.5, 0.3)


def _bump(tree: Nodes, shader: bpy.types.Node, height: bpy.types.NodeSocket, amount: float) -> None:
    node = tree.nodes.new("ShaderNodeBump")
    node.inputs["Distance"].default_value = amount
    tree.links.new(height, node.inputs["Height"])
    tree.links.new(node.outputs[0], shader.inputs["Normal"])


def _displace(material: bpy.types.Material, height: bpy.types.NodeSocket, amount: float) -> None:
    tree = material.node_tree
    node = tree.nodes.new("ShaderNodeDisplacement")
    node.inputs["Scale"].default_value = amount
    tree.links.new(height, node.inputs["Height"])
    tree.links.new(node.outputs[0], tree.nodes["Material Output"].inputs["Displacement"])
    material.displacement_method = "BOTH"
