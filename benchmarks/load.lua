-- wrk sends the bytes of one file again and again, so that this script runs only before and after.

function init(args)
   local file = assert(io.open(args[1], "rb"))
   local request = file:read("*a")
   file:close()
   wrk.format = function() return request end
end

function done(summary, latency, requests)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
   print(string.format(
      '{"requests": %d, "seconds": %f, "errors": %d, "p50": %f, "p99": %f}',
      summary.requests, summary.duration / 1e6, failed,
      latency:percentile(50) / 1e6, latency:percentile(99) / 1e6
   ))
end
