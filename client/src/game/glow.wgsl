// Light that is added: soft discs and lines, and with an alpha of 1 rings.
#import bevy_pbr::forward_io::VertexOutput

@fragment
fn fragment(in: VertexOutput) -> @location(0) vec4<f32> {
    let square = dot(in.uv, in.uv);
    let disc = max(1.0 - square, 0.0);
    let from_rim = (square - 0.86) * 8.0;
    let ring = max(1.0 - from_rim * from_rim, 0.0);
    let strength = mix(disc * disc, ring, in.color.a);
    return vec4<f32>(in.color.rgb * strength, 0.0);
}
