module Courier
  # When a driver arrives.
  module Eta
    # Minutes that handing over a parcel takes.
    HANDOVER = 4

    module_function

    # Minutes since midnight at which each leg ends, given its kilometres and the speed in km/h.
    def arrivals(start, legs_km, speed)
      minute = start.to_f
      legs_km.map do |km|
        minute += km / speed.to_f * 60
        arrival = minute.round
        minute += HANDOVER
        arrival
      end
    end

    # Minutes since midnight as a clock shows them.
    def clock(minutes)
      format("%02d:%02d", minutes / 60, minutes % 60)
    end
  end
end
