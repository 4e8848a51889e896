module Courier
  # A place on Earth, in degrees.
  Place = Struct.new(:lat, :lon)

  module Geo
    EARTH_RADIUS_KM = 6371.0

    module_function

    # Kilometres between two places as the crow flies (haversine).
    def distance_km(from, to)
      d_lat = radians(to.lat - from.lat)
      d_lon = radians(to.lon - from.lon)
      a = Math.sin(d_lat / 2)**2 + Math.cos(from.lat) * Math.cos(to.lat) * Math.sin(d_lon / 2)**2
      2 * EARTH_RADIUS_KM * Math.asin(Math.sqrt(a.abs))
    end

    def radians(degrees)
      degrees * Math::PI / 180
    end
  end
end
