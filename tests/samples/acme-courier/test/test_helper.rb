require "minitest/autorun"
require "courier"

PORTO = Courier::Place.new(41.15, -8.61)
LISBON = Courier::Place.new(38.72, -9.14)
BRAGA = Courier::Place.new(41.55, -8.42)

def stop(name, place)
  Courier::Stop.new(name: name, place: place)
end
