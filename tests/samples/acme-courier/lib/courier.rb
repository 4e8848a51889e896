# Delivery planning: loading, routing, arrival times, tracking.
module Courier
  VERSION = "0.9.0"
end

require "courier/geo"
require "courier/stop"
require "courier/route"
require "courier/eta"
require "courier/loading"
require "courier/tracking"
require "courier/report"
