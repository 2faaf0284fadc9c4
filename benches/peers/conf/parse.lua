-- Three calls at once; their bodies are parsed, and the answer is written anew.
local cjson = require "cjson"
local a, b, c = ngx.location.capture_multi({ { "/part/a" }, { "/part/b" }, { "/part/c" } })
if a.status ~= 200 or b.status ~= 200 or c.status ~= 200 then
  return ngx.exit(502)
end
local answer = cjson.encode({ a = cjson.decode(a.body), b = cjson.decode(b.body), c = cjson.decode(c.body) })
ngx.header["Content-Type"] = "application/json"
ngx.header["Content-Length"] = #answer
ngx.print(answer)
