-- Three calls at once; their bodies are joined as they are, unread.
local a, b, c = ngx.location.capture_multi({ { "/part/a" }, { "/part/b" }, { "/part/c" } })
if a.status ~= 200 or b.status ~= 200 or c.status ~= 200 then
  return ngx.exit(502)
end
ngx.header["Content-Type"] = "application/json"
ngx.header["Content-Length"] = #a.body + #b.body + #c.body + 16
ngx.print({ '{"a":', a.body, ',"b":', b.body, ',"c":', c.body, "}" })
