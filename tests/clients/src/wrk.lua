-- wrk asks for each path of a list in turn: wrk -s wrk.lua URL -- LIST HOST
local paths, host, at = {}, nil, 0

function init(args)
   for line in io.lines(args[1]) do paths[#paths + 1] = line end
   host = args[2]
end

function request()
   at = at % #paths + 1
   return wrk.format("GET", paths[at], { ["Host"] = host })
end
