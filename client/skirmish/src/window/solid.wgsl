// Faceted bodies: the normal of a triangle is computed from the screen-space derivatives of its position, so
// that vertices are shared and need no normals. One warm sun, one cold fill light, a rim against the dark.
#import bevy_pbr::forward_io::VertexOutput
#import bevy_pbr::mesh_view_bindings::view

@fragment
fn fragment(in: VertexOutput) -> @location(0) vec4<f32> {
    let place = in.world_position.xyz;
    let sight = normalize(view.world_position - place);
    var normal = normalize(cross(dpdx(place), dpdy(place)));
    normal *= sign(dot(normal, sight));

    let sun = max(dot(normal, vec3<f32>(0.46, 0.78, 0.42)), 0.0);
    let fill = max(dot(normal, vec3<f32>(-0.72, 0.25, -0.64)), 0.0);
    let rim = pow(1.0 - max(dot(normal, sight), 0.0), 3.0);
    let light = vec3<f32>(0.10, 0.12, 0.17)
        + sun * vec3<f32>(1.25, 1.16, 1.02)
        + fill * vec3<f32>(0.16, 0.26, 0.46)
        + rim * vec3<f32>(0.22, 0.34, 0.52);
    let lit = in.color.rgb * light;
    return vec4<f32>(mix(lit, in.color.rgb, in.color.a), 1.0);
}
