// Light that is added: it is strongest where the coordinates are 0, and ends where they are 1 away from it.
#import bevy_pbr::forward_io::VertexOutput

@fragment
fn fragment(in: VertexOutput) -> @location(0) vec4<f32> {
    let left = max(1.0 - dot(in.uv, in.uv), 0.0);
    return vec4<f32>(in.color.rgb * left * left, 0.0);
}
