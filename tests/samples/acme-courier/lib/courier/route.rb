module Courier
  # The order in which one driver visits the stops: always the nearest one that is left.
  class Route
    attr_reader :depot, :stops

    def initialize(depot, stops)
      @depot = depot
      @stops = stops
    end

    # Every stop, once, in the order of visiting.
    def ordered
      remaining = stops.dup
      tour = []
      here = depot
      while remaining.size > 1
        nearest = remaining.min_by { |stop| Geo.distance_km(here, stop.place) }
        tour << nearest
        remaining.delete(nearest)
        here = nearest.place
      end
      tour
    end

    # Kilometres of the tour from the depot to the last stop.
    def length_km
      places = [depot] + ordered.map(&:place)
      places.each_cons(2).sum { |from, to| Geo.distance_km(from, to) }
    end
  end
end
