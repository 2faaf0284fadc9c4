"""Envoy's configuration: plain, with tokens and a rate limit, or with Lua that makes a flow's calls."""

import json

TYPE = "type.googleapis.com/envoy.extensions."
HTTP = TYPE + "filters.http."

LUA = """
function envoy_on_request(request)
  if request:headers():get(":path") ~= "/flow" then return end
  local parts = {}
  for _, name in ipairs({"a", "b", "c"}) do
    local head, body = request:httpCall(name, {[":method"] = "GET", [":path"] = "/2k", [":authority"] = "localhost"}, nil, 5000)
    if head[":status"] ~= "200" then return request:respond({[":status"] = "502"}, "") end
    parts[#parts + 1] = '"' .. name .. '":' .. body
  end
  request:respond({[":status"] = "200", ["content-type"] = "application/json"}, "{" .. table.concat(parts, ",") .. "}")
end
"""


def cluster(name, port):
    socket = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": socket}}]}]
    many = {"max_connections": 10_000, "max_pending_requests": 100_000, "max_requests": 100_000}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [many]},
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }


def token_filters(keys):
    """JWTs, remembered under /known/ only, and a local rate limit."""
    provider = {"issuer": "bench", "forward": True, "local_jwks": {"filename": f"{keys}/jwks.json"}}
    rules = [(path, name) for path, name in (("/known/", "known"), ("/each/", "each"))]
    authentication = {
        "@type": HTTP + "jwt_authn.v3.JwtAuthentication",
        "providers": {"each": provider, "known": provider | {"jwt_cache_config": {"jwt_cache_size": 100}}},
        "rules": [{"match": {"prefix": path}, "requires": {"provider_name": name}} for path, name in rules],
    }
    limit = {"@type": HTTP + "local_ratelimit.v3.LocalRateLimit", "stat_prefix": "limit"}
    return [
        {"name": "envoy.filters.http.jwt_authn", "typed_config": authentication},
        {"name": "envoy.filters.http.local_ratelimit", "typed_config": limit},
    ]


def limited(prefix):
    always = {"default_value": {"numerator": 100}}
    limit = {
        "@type": HTTP + "local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "limit",
        "token_bucket": {"max_tokens": 1_000_000, "tokens_per_fill": 1_000_000, "fill_interval": "1s"},
        "filter_enabled": always,
        "filter_enforced": always,
    }
    return {
        "match": {"prefix": prefix},
        "route": {"cluster": "a"},
        "typed_per_filter_config": {"envoy.filters.http.local_ratelimit": limit},
    }


def connection_manager(filters, routes):
    router = {"@type": HTTP + "router.v3.Router", "dynamic_stats": False, "suppress_envoy_headers": True}
    return {
        "@type": TYPE + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "codec_type": "AUTO",
        "generate_request_id": False,
        "use_remote_address": True,
        "stream_idle_timeout": "300s",
        "server_header_transformation": "PASS_THROUGH",
        "http2_protocol_options": {
            "max_concurrent_streams": 256,
            "initial_stream_window_size": 262_144,
            "initial_connection_window_size": 1_048_576,
        },
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [*filters, {"name": "envoy.filters.http.router", "typed_config": router}],
    }


def configuration(kind, fill):
    """The file as text. `fill`: ports and folders, as for the templates of the others."""
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "a", "timeout": "60s"}}]
    filters = []
    if kind == "token":
        filters = token_filters(fill["keys"])
        routes = [limited("/each/"), limited("/known/"), *routes]
    elif kind == "lua":
        source = {"@type": HTTP + "lua.v3.Lua", "default_source_code": {"inline_string": LUA}}
        filters = [{"name": "envoy.filters.http.lua", "typed_config": source}]
    manager = {"name": "http", "typed_config": connection_manager(filters, routes)}
    certificate = {
        "certificate_chain": {"filename": f"{fill['keys']}/cert.pem"},
        "private_key": {"filename": f"{fill['keys']}/key.pem"},
    }
    secure = {
        "@type": TYPE + "transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [certificate]},
    }
    listeners = []
    for port, tls in ((fill["port"], False), (fill["tls"], True)):
        chain = {"filters": [manager]}
        if tls:
            chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": secure}
        address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
        listeners.append({"name": f"port{port}", "address": address, "tcp_backlog_size": 4096, "filter_chains": [chain]})
    clusters = [cluster(name, fill[f"service{n}"]) for n, name in enumerate("abc")]
    return json.dumps(
        {
            "static_resources": {"listeners": listeners, "clusters": clusters},
            "stats_config": {"stats_matcher": {"reject_all": True}},
        },
        indent=1,
    )
