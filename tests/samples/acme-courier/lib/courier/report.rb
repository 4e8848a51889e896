module Courier
  # The tour sheet that a driver takes along.
  module Report
    module_function

    def sheet(driver, stops, arrivals)
      rows = stops.zip(arrivals).map.with_index(1) do |(stop, minute), number|
        "#{number}. #{Eta.clock(minute)}  #{stop.name}  (#{stop.window})"
      end
      ["Tour of #{driver}", *rows].join("\n")
    end
  end
end
