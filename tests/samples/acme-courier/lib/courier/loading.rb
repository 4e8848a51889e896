module Courier
  Parcel = Struct.new(:number, :weight)

  # A van and what is in it.
  class Van
    attr_reader :name, :limit, :parcels

    def initialize(name, limit)
      @name = name
      @limit = limit
      @parcels = []
    end

    def load_weight
      parcels.sum(&:weight)
    end

    def fits?(parcel)
      parcel.weight <= limit
    end
  end

  module Loading
    module_function

    # Spreads parcels over vans, heaviest first, each into the first van that takes it. Gives what found no place.
    def spread(parcels, vans)
      parcels.sort_by { |parcel| -parcel.weight }.reject do |parcel|
        van = vans.find { |candidate| candidate.fits?(parcel) }
        van&.parcels&.push(parcel)
      end
    end
  end
end
